// The core of a channel under its lock, after each step of random sequences of operations: what it
// holds, and who waits.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/elements.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/chan.hpp"
#include "weft/chan/core.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/select.hpp"

using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;

namespace {

// What a look under the lock finds. `receivers` and `senders` can still be claimed, `stale` not.
struct view {
  std::size_t count = 0;
  std::size_t capacity = 0;
  bool closed = false;
  std::size_t receivers = 0;
  std::size_t senders = 0;
  std::size_t stale = 0;

  [[nodiscard]] std::string text() const {
    return std::to_string(count) + " of " + std::to_string(capacity) +
           (closed ? ", closed, " : ", open, ") + std::to_string(receivers) + " receivers, " +
           std::to_string(senders) + " senders, " + std::to_string(stale) + " stale";
  }
};

std::size_t count_unclaimed(weft::detail::wait_list& waiters, std::size_t& stale) {
  std::size_t n = 0;
  for (auto* w = waiters.front(); w != nullptr; w = waiters.after(*w)) {
    ++(w->state->is_claimed() ? stale : n);
  }
  return n;
}

template <class T>
view look_at(const chan<T>& ch) {
  weft::detail::chan_core& core = *weft::detail::chan_access::core(ch);
  weft::detail::lock_guard held(core.lock());
  view v;
  v.count = core.count_locked();
  v.capacity = core.capacity();
  v.closed = core.is_closed_locked();
  v.receivers = count_unclaimed(core.receivers(), v.stale);
  v.senders = count_unclaimed(core.senders(), v.stale);
  return v;
}

bool waits_on_one_side(const view& v) { return v.receivers == 0 || v.senders == 0; }

bool waits_with_reason(const view& v) {
  return (v.receivers == 0 || v.count == 0) && (v.senders == 0 || v.count == v.capacity) &&
         v.count <= v.capacity;
}

bool is_left_when_closed(const view& v) {
  return !v.closed || v.receivers + v.senders + v.stale == 0;
}

using invariant = bool (*)(const view&);

// A channel in the hands of fibers and threads that each do one operation; the main fiber looks.
class walk {
 public:
  walk(std::size_t capacity, invariant holds, std::uint64_t seed, std::uint64_t stream)
      : ch_(make_chan<int>(capacity)), holds_(holds), random_(seed, stream) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      look();
      for (std::uint64_t n = random_.below(4); n != 0; --n) {
        weft::yield();
        look();
      }
    }
    ch_.close();
    look();
    for (task& t : tasks_) {
      t.join();
      look();
    }
    CHECK(seen_waiting_);
  }

 private:
  void look() {
    const view v = look_at(ch_);
    seen_waiting_ = seen_waiting_ || v.receivers + v.senders != 0;
    INFO(v.text());
    REQUIRE(holds_(v));
  }

  void step() {
    switch (random_.below(8)) {
      case 0:
      case 1:
        start([](const chan<int>& ch, const weft::context&) { ch.send(1); });
        break;
      case 2:
      case 3:
        start([](const chan<int>& ch, const weft::context&) { static_cast<void>(ch.recv()); });
        break;
      case 4:
        start([](const chan<int>& ch, const weft::context& ctx) {
          std::error_code ec;
          static_cast<void>(ch.send(ctx, 1, ec));
        });
        break;
      case 5:
        start([wait = std::chrono::microseconds(random_.below(100))](const chan<int>& ch,
                                                                     const weft::context& ctx) {
          weft::select(weft::recv(ch), weft::recv(ch), weft::timeout(wait), weft::done(ctx));
        });
        break;
      case 6:
        if (random_.below(2) == 0) {
          static_cast<void>(ch_.try_send(1));
        } else {
          static_cast<void>(ch_.try_recv());
        }
        break;
      default:
        shared_.cancel();
        shared_ = weft::with_cancel(weft::context{});
        break;
    }
  }

  template <class F>
  void start(F f) {
    tasks_.emplace_back(random_.below(16) == 0 ? kind::thread : kind::fiber,
                        [f, ch = ch_, ctx = shared_.ctx] {
                          try {
                            f(ch, ctx);
                          } catch (const weft::closed_channel&) {
                            return;  // as it has to be for a sender
                          }
                        });
  }

  chan<int> ch_;
  invariant holds_;
  test::random random_;
  weft::cancelable_context shared_ = weft::with_cancel(weft::context{});
  std::vector<task> tasks_;
  bool seen_waiting_ = false;
};

void walk_with(invariant holds) {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([=](unsigned procs) {
    for (const std::size_t capacity : {0U, 1U, 3U}) {
      INFO("WEFT_TEST_SEED=" << seed << ", capacity " << capacity);
      walk(capacity, holds, seed, 10 * procs + capacity).run(300);
    }
  });
}

}  // namespace

TEST_CASE("chan I1: receivers and senders never wait at the same time",
          "[chan][unit][CH-09][CH-15]") {
  walk_with(waits_on_one_side);
}

TEST_CASE("chan I2: receivers wait only while nothing is there, senders only while it is full",
          "[chan][unit][CH-10][CH-11][CH-14]") {
  walk_with(waits_with_reason);
}

TEST_CASE("chan I3: a closed channel has no waiters", "[chan][unit][CH-19][CH-20]") {
  walk_with(is_left_when_closed);
}

TEST_CASE("chan I2: the place that a sender could not use goes to the next one",
          "[chan][unit][CH-32]") {
  for (const kind k : test::both_kinds) {
    test::ledger l;
    test::run_with_procs([&] {
      INFO(test::name_of(k));
      const chan<test::counted> ch = make_chan<test::counted>(1);
      const auto [ctx, cancel] = weft::with_cancel(weft::context{});
      ch.send({l, 0});
      test::expectations e;
      task first(k, [&, context = ctx] {
        test::counted mine(l, 1);
        std::error_code ec;
        e.that(!ch.send(context, std::move(mine), ec), "the first sender gives up");
        e.that(mine.value() == 1, "and keeps its value");
      });
      first.until_blocked("chan send");
      task second(k, [&] { ch.send({l, 2}); });
      second.until_blocked("chan send");
      // The first sender's value is on its way into the buffer, behind the one that comes out.
      l.arm(2);
      const std::optional<test::counted> got = ch.try_recv();
      l.disarm();
      const view v = look_at(ch);
      cancel();
      first.join();
      const std::optional<test::counted> rest = ch.recv();
      second.join();
      INFO(v.text());
      CHECK(waits_with_reason(v));
      CHECK(e.failures() == "");
      CHECK((got.has_value() && got->value() == 0));
      CHECK((rest.has_value() && rest->value() == 2));
    });
    CHECK(l.is_clean());
  }
}
