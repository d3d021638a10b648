// Stress of channels: fibers and plain threads send and receive in every way, channels are closed
// under them, and each value that a send reported is received exactly once.
#include "weft/chan.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "support/traffic.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/select.hpp"

using test::element;
using test::kind;
using test::merged;
using test::random_chan;
using test::random_kind;
using test::scale;
using test::task;
using test::values;
using weft::chan;
using weft::make_chan;
using weft::recv_status;

namespace {

std::chrono::microseconds short_time(test::random& rng) {
  return std::chrono::microseconds(rng.below(100));
}

// Sends one value in a random way. False: it gave up, and has the value.
bool try_one_send(const chan<element>& c, element& v, test::random& rng) {
  std::error_code ec;
  switch (rng.below(5)) {
    case 0:
      return c.try_send(std::move(v));
    case 1: {
      const auto [ctx, cancel] = weft::with_timeout(weft::context{}, short_time(rng));
      return c.send(ctx, std::move(v), ec);
    }
    case 2:
      return weft::select(weft::send(c, std::move(v)), weft::timeout(short_time(rng))) == 0;
    case 3:
      return weft::select(weft::otherwise(), weft::send(c, std::move(v))) == 1;
    default:
      c.send(std::move(v));
      return true;
  }
}

// Receives in a random way into `v`, which stays empty when there was nothing. False: closed.
bool try_one_recv(const chan<element>& c, std::optional<element>& v, test::random& rng) {
  std::error_code ec;
  v.reset();
  switch (rng.below(5)) {
    case 0: {
      element out;
      const recv_status status = c.try_recv(out);
      if (status == recv_status::ok) v = std::move(out);
      return status != recv_status::closed;
    }
    case 1: {
      const auto [ctx, cancel] = weft::with_timeout(weft::context{}, short_time(rng));
      v = c.recv(ctx, ec);
      return v.has_value() || static_cast<bool>(ec);
    }
    case 2: {
      const auto take = [&](std::optional<element> got) { v = std::move(got); };
      return weft::select(weft::timeout(short_time(rng)), weft::recv(c, take)) == 0 ||
             v.has_value();
    }
    case 3: {
      const auto take = [&](std::optional<element> got) { v = std::move(got); };
      return weft::select(weft::recv(c, take), weft::otherwise()) == 1 || v.has_value();
    }
    default:
      v = c.recv();
      return v.has_value();
  }
}

// Receives until the channel is closed and drained.
void receive_all(const chan<element>& c, values& got, test::random& rng) {
  std::optional<element> v;
  while (try_one_recv(c, v, rng)) {
    if (v.has_value()) {
      got.push_back(**v);
    } else {
      test::relax();
    }
  }
}

}  // namespace

TEST_CASE("chan stress: every way to send meets every way to receive, each value arrives once",
          "[chan][stress][CH-36][CH-39]") {
  constexpr std::size_t channels = 4;
  constexpr std::size_t senders = 8;
  constexpr std::uint64_t each = 400 * scale;
  const std::uint64_t seed = test::seed();
  test::run_with_procs([&](unsigned procs) {
    INFO("WEFT_TEST_SEED=" << seed);
    test::random rng(seed, procs);
    std::vector<chan<element>> cs;
    for (std::size_t i = 0; i < channels; ++i) cs.push_back(random_chan(rng));
    std::vector<values> got(2 * channels);
    std::vector<task> receiving;
    std::vector<task> sending;
    for (std::size_t i = 0; i < got.size(); ++i)
      receiving.emplace_back(random_kind(rng), [c = cs[i % channels], &mine_got = got[i],
                                                mine = test::random(seed, rng.next())]() mutable {
        receive_all(c, mine_got, mine);
      });
    for (std::size_t i = 0; i < senders; ++i)
      sending.emplace_back(random_kind(rng),
                           [&, i, mine = test::random(seed, rng.next())]() mutable {
                             for (std::uint64_t n = 0; n < each; ++n) {
                               auto v = std::make_unique<std::uint64_t>(i * each + n);
                               while (!try_one_send(cs[mine.below(channels)], v, mine))
                                 test::relax();
                             }
                           });
    test::join(sending);
    for (const chan<element>& c : cs) c.close();
    test::join(receiving);
    CHECK((merged(got) == test::count_to(senders * each)));
  });
}

TEST_CASE("chan stress: a close among senders and receivers loses nothing and wakes everybody",
          "[chan][stress][CH-19][CH-20]") {
  constexpr std::uint64_t rounds = 60 * scale;
  const std::uint64_t seed = test::seed();
  test::run_with_procs([&](unsigned procs) {
    INFO("WEFT_TEST_SEED=" << seed);
    test::random rng(seed, 100 + procs);
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const chan<element> c = random_chan(rng);
      const std::size_t parties = 1 + rng.below(5);
      std::vector<values> sent(parties);
      std::vector<values> got(parties);
      test::expectations e;
      std::vector<task> tasks;
      for (std::size_t i = 0; i < parties; ++i) {
        tasks.emplace_back(
            random_kind(rng), [&, i, mine = test::random(seed, rng.next())]() mutable {
              element v;
              try {
                for (std::uint64_t n = 0;; ++n) {
                  v = std::make_unique<std::uint64_t>((std::uint64_t{i} << 32U) + n);
                  while (!try_one_send(c, v, mine)) test::relax();
                  sent[i].push_back((std::uint64_t{i} << 32U) + n);
                }
              } catch (const weft::closed_channel&) {
                e.that(v != nullptr, "a value that was not sent stays with its sender");
              }
            });
        tasks.emplace_back(random_kind(rng),
                           [&, i, mine = test::random(seed, rng.next())]() mutable {
                             receive_all(c, got[i], mine);
                           });
      }
      const std::uint64_t pause = rng.below(40);
      for (std::uint64_t i = 0; i < pause; ++i) weft::yield();
      c.close();
      test::join(tasks);
      REQUIRE(e.failures() == "");
      REQUIRE((merged(got) == merged(sent)));
      REQUIRE(c.size() == 0);
    }
  });
}

TEST_CASE("chan stress: a chain of unbuffered channels passes everything on in order",
          "[chan][stress][CH-12]") {
  static constexpr int links = 200;
  static constexpr int count = 100 * static_cast<int>(scale);
  test::run_with_procs([] {
    chan<int> in = make_chan<int>();
    const chan<int> first = in;
    std::vector<task> tasks;
    for (int i = 0; i < links; ++i) {
      const chan<int> out = make_chan<int>();
      tasks.emplace_back(i % 50 == 49 ? kind::thread : kind::fiber, [in, out] {
        for (const int v : in) out.send(v + 1);
        out.close();
      });
      in = out;
    }
    tasks.emplace_back(kind::fiber, [first] {
      for (int i = 0; i < count; ++i) first.send(i);
      first.close();
    });
    int next = 0;
    bool right = true;
    for (const int v : in) right = right && v == next++ + links;
    test::join(tasks);
    CHECK(right);
    CHECK(next == count);
  });
}
