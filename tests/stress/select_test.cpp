// Stress of select: overlapping selects over several channels, with closes, contexts and timeouts.
// Each value that a select reported as sent is received exactly once, and the run ends.
#include "weft/select.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "support/traffic.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"

using test::element;
using test::merged;
using test::random_kind;
using test::scale;
using test::task;
using test::values;
using weft::chan;
using weft::make_chan;
using weft::select_case;
using weft::unit;

namespace {

constexpr std::size_t channels = 4;

using channel_set = std::array<chan<element>, channels>;

// One party: it selects over random cases until it has found every channel closed and drained. Each
// of its selects has a source that fires, for the others may all wait for what nobody does.
class party {
 public:
  party(std::uint64_t id, const channel_set& all, const weft::context& shared, test::random rng)
      : id_(id), in_(all), out_(all), shared_(shared), rng_(rng) {}

  values sent;
  values got;

  void run(test::tally& selects, test::expectations& e) {
    while (std::any_of(in_.begin(), in_.end(), [](const chan<element>& c) { return bool(c); })) {
      one_select(e);
      selects.add();
      if (rng_.below(16) == 0) test::relax();
    }
  }

 private:
  static constexpr std::size_t max_cases = 8;

  struct place {
    std::size_t channel = 0;
    bool sends = false;
    std::uint64_t number = 0;
    element value;
    std::optional<element> slot;
  };

  void one_select(test::expectations& e) {
    std::array<place, max_cases> places;
    std::vector<select_case> cases;
    const std::size_t n = 1 + rng_.below(max_cases);
    for (std::size_t i = 0; i < n; ++i) {
      place& p = places[i];
      p.channel = rng_.below(channels);
      p.sends = rng_.below(2) == 0;
      p.number = (id_ << 40U) + next_++;
      p.value = std::make_unique<std::uint64_t>(p.number);
      cases.push_back(p.sends ? select_case::send(out_[p.channel], p.value)
                              : select_case::recv(in_[p.channel], p.slot));
    }
    const auto [own, cancel] = weft::with_timeout(shared_, microseconds(200));
    if (rng_.below(2) == 0) {
      cases.push_back(select_case::done(own));
    } else {
      cases.push_back(select_case::timeout(microseconds(100)));
    }
    if (rng_.below(8) == 0) cases.push_back(select_case::otherwise());

    std::size_t chosen = cases.size();
    try {
      chosen = weft::select(cases);
      e.that(chosen < cases.size(), "the index is that of a case");
    } catch (const weft::closed_channel&) {
      e.that(stop_sending(places, n), "a channel with a send case is closed");
    }
    for (std::size_t i = 0; i < n; ++i) settle(places[i], i == chosen, e);
  }

  void settle(place& p, bool is_chosen, test::expectations& e) {
    const bool was_sent = p.sends && is_chosen;
    e.that((p.value == nullptr) == was_sent, "the chosen value and no other is moved from");
    e.that(!p.slot.has_value() || (is_chosen && !p.sends), "no slot but the chosen has a value");
    if (was_sent) sent.push_back(p.number);
    if (p.slot.has_value()) got.push_back(**p.slot);
    if (is_chosen && !p.sends && !p.slot.has_value()) {
      e.that(in_[p.channel].is_closed() && in_[p.channel].size() == 0, "closed and drained");
      in_[p.channel] = {};
    }
  }

  // Sends no more on what is closed. True: there was such a case.
  bool stop_sending(const std::array<place, max_cases>& places, std::size_t n) {
    bool found = false;
    for (std::size_t i = 0; i < n; ++i)
      found = found || (places[i].sends && out_[places[i].channel].is_closed());
    for (chan<element>& c : out_)
      if (c.is_closed()) c = {};
    return found;
  }

  std::chrono::microseconds microseconds(std::uint64_t below) {
    return std::chrono::microseconds(rng_.below(below));
  }

  std::uint64_t id_;
  channel_set in_;   // nil once drained
  channel_set out_;  // nil once found closed
  weft::context shared_;
  test::random rng_;
  std::uint64_t next_ = 0;
};

}  // namespace

TEST_CASE(
    "select stress: random selects with closes, contexts and timeouts lose and repeat nothing",
    "[select][stress][SE-19][SE-27]") {
  constexpr std::size_t parties = 10;
  constexpr int rounds = 4;
  const std::uint64_t seed = test::seed();
  test::run_with_procs([&](unsigned procs) {
    INFO("WEFT_TEST_SEED=" << seed);
    test::random rng(seed, procs);
    for (int round = 0; round < rounds; ++round) {
      channel_set cs;
      for (chan<element>& c : cs) c = test::random_chan(rng);
      const auto [shared, cancel] = weft::with_cancel(weft::context{});
      std::vector<party> all;
      for (std::size_t i = 0; i < parties; ++i)
        all.emplace_back(i, cs, shared, test::random(seed, rng.next()));
      test::tally selects;
      test::expectations e;
      std::vector<task> tasks;
      for (party& p : all) tasks.emplace_back(random_kind(rng), [&] { p.run(selects, e); });
      // The channels are closed one after the other, each after so many selects; in between the
      // context that all of them share is cancelled.
      long wanted = 0;
      for (std::size_t i = 0; i < channels; ++i) {
        wanted += static_cast<long>(rng.below(200 * scale) + 100 * scale);
        test::until([&] { return selects.count() >= wanted; }, "the selects go on");
        cs[i].close();
        if (i == channels - 2) cancel();
      }
      test::join(tasks);
      std::vector<values> sent;
      std::vector<values> got;
      for (const party& p : all) {
        sent.push_back(p.sent);
        got.push_back(p.got);
      }
      REQUIRE(e.failures() == "");
      REQUIRE((merged(got) == merged(sent)));
      for (const chan<element>& c : cs) REQUIRE(c.size() == 0);
    }
  });
}

// No channel's lock keeps the fiber from going on before its commit has ended.
TEST_CASE("select stress: time-outs and contexts alone end selects that have no channel",
          "[select][stress][SE-18][SE-19]") {
  constexpr int fibers = 20;
  constexpr int each = 200 * scale;
  test::run_with_procs([&] {
    test::expectations e;
    std::vector<weft::join_handle<void>> all;
    for (int f = 0; f < fibers; ++f) {
      all.push_back(weft::spawn([&e] {
        const chan<int> nil;
        for (int i = 0; i < each; ++i) {
          const auto [ctx, cancel] =
              weft::with_timeout(weft::background(), std::chrono::microseconds(i % 7));
          const std::size_t chosen = weft::select(
              weft::recv(nil), weft::timeout(std::chrono::microseconds(i % 5)), weft::done(ctx));
          e.that(chosen != 0, "a nil channel is never ready");
        }
      }));
    }
    for (weft::join_handle<void>& f : all) f.join();
    CHECK(e.failures() == "");
  });
}

// Here no select has a time-out: a wake-up that is lost stops the run.
TEST_CASE("select stress: parties that only wait for each other come to an end",
          "[select][stress][SE-18][SE-19]") {
  constexpr std::uint64_t each = 600 * scale;
  constexpr std::size_t senders = 6;
  constexpr std::size_t relays = 4;
  const std::uint64_t seed = test::seed();
  test::run_with_procs([&](unsigned procs) {
    INFO("WEFT_TEST_SEED=" << seed);
    test::random rng(seed, 200 + procs);
    std::vector<chan<std::uint64_t>> left;
    std::vector<chan<std::uint64_t>> right;
    for (int i = 0; i < 3; ++i) {
      left.push_back(make_chan<std::uint64_t>(rng.below(2)));
      right.push_back(make_chan<std::uint64_t>(rng.below(2)));
    }
    const chan<unit> no_more_left = make_chan<unit>();
    const chan<unit> no_more_right = make_chan<unit>();
    std::vector<task> sending;
    std::vector<task> relaying;
    std::vector<task> receiving;
    std::vector<values> got(3);
    // A receiver looks at all three channels, beginning with its own.
    for (std::size_t i = 0; i < got.size(); ++i)
      receiving.emplace_back(random_kind(rng), [&, i] {
        bool has_ended = false;
        const auto take = [&](std::uint64_t v) { got[i].push_back(v); };
        while (!has_ended)
          weft::select(weft::recv(right[i], take), weft::recv(right[(i + 1) % 3], take),
                       weft::recv(right[(i + 2) % 3], take),
                       weft::recv(no_more_right, [&] { has_ended = true; }));
      });
    // A relay receives and sends in one select: at times on the same channels as its neighbours.
    for (std::size_t i = 0; i < relays; ++i)
      relaying.emplace_back(random_kind(rng), [&, i] {
        std::optional<std::uint64_t> held;
        bool has_ended = false;
        const chan<std::uint64_t> nil;
        const auto take = [&](std::uint64_t v) { held = v; };
        while (!has_ended || held.has_value()) {
          const bool full = held.has_value();
          const std::uint64_t v = held.value_or(0);
          const auto pass = [&] { held.reset(); };
          weft::select(weft::recv(full ? nil : left[i % 3], take),
                       weft::send(full ? right[i % 3] : nil, v, pass),
                       weft::recv(full ? nil : left[(i + 1) % 3], take),
                       weft::send(full ? right[(i + 2) % 3] : nil, v, pass),
                       weft::recv(full ? nil : left[(i + 2) % 3], take),
                       weft::recv(full ? chan<unit>() : no_more_left, [&] { has_ended = true; }));
        }
      });
    for (std::size_t i = 0; i < senders; ++i)
      sending.emplace_back(
          random_kind(rng), [&, i, mine = test::random(seed, rng.next())]() mutable {
            for (std::uint64_t n = 0; n < each; ++n) {
              const std::size_t a = mine.below(3);
              const std::size_t b = mine.below(3);
              weft::select(weft::send(left[a], i * each + n), weft::send(left[b], i * each + n));
            }
          });
    const auto drained = [](const std::vector<chan<std::uint64_t>>& side) {
      return std::all_of(side.begin(), side.end(),
                         [](const chan<std::uint64_t>& c) { return c.size() == 0; });
    };
    test::join(sending);
    test::until([&] { return drained(left); }, "the relays have taken everything");
    no_more_left.close();
    test::join(relaying);
    test::until([&] { return drained(right); }, "the receivers have taken everything");
    no_more_right.close();
    test::join(receiving);
    CHECK((merged(got) == test::count_to(senders * each)));
  });
}
