// Sleeping: never too short, no harm from extreme durations, ended by a context.
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/virtual_time.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

using namespace std::chrono_literals;
using weft::clock;

namespace {

using picoseconds = std::chrono::duration<std::int64_t, std::pico>;

}  // namespace

TEST_CASE("clock: conversions saturate and round up", "[time][unit][TI-03]") {
  using weft::detail::to_ns;
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  constexpr auto least = std::numeric_limits<std::int64_t>::min();
  CHECK(to_ns(std::chrono::hours::max()) == most);
  CHECK(to_ns(std::chrono::hours::min()) == least);
  CHECK(to_ns(clock::duration::max()) == most);
  CHECK(to_ns(std::chrono::duration<double>(1e300)) == most);
  CHECK(to_ns(std::chrono::duration<double>(-1e300)) == least);
  CHECK(to_ns(std::chrono::duration<double>(0.25)) == 250'000'000);
  CHECK(to_ns(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())) == 0);
  CHECK(to_ns(std::chrono::duration<std::uint64_t, std::nano>(~std::uint64_t{0})) == most);
  CHECK(to_ns(picoseconds(1)) == 1);
  CHECK(to_ns(picoseconds(1000)) == 1);
  CHECK(to_ns(picoseconds(-1)) == 0);
  CHECK(to_ns(std::chrono::duration<int, std::ratio<1, 3>>(1)) == 333'333'334);
}

TEST_CASE("clock: it is steady", "[time][unit][TI-28]") {
  STATIC_REQUIRE(clock::is_steady);
  STATIC_REQUIRE(std::is_same_v<clock::duration, std::chrono::nanoseconds>);
  test::run_with_procs([] {
    clock::time_point last = clock::now();
    bool goes_back = false;
    for (int i = 0; i < 10'000; ++i) {
      if (i % 100 == 0) weft::yield();
      const clock::time_point now = clock::now();
      goes_back |= now < last;
      last = now;
    }
    CHECK_FALSE(goes_back);
  });
}

TEST_CASE("sleep: it lasts as long as it says", "[time][unit][TI-01]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    weft::sleep_for(1500ms);
    CHECK(watch.elapsed() == 1500ms);
    weft::sleep_until(watch.start() + 2h);
    CHECK(watch.elapsed() == 2h);
    weft::sleep_for(picoseconds(1));
    CHECK(watch.elapsed() == 2h + 1ns);
  });
}

TEST_CASE("sleep: on the real clock it is never too short, and soon over", "[time][os][TI-01]") {
  test::run_with_procs([] {
    for (const auto d : {1us, 1000us, 20000us}) {
      const test::stopwatch watch;
      weft::sleep_for(d);
      CHECK(watch.elapsed() >= d);
      CHECK(watch.elapsed() < test::soon(d));
    }
  });
  const test::stopwatch watch;
  weft::sleep_for(5ms);  // a plain thread
  CHECK(watch.elapsed() >= 5ms);
  CHECK(watch.elapsed() < test::soon(5ms));
}

TEST_CASE("sleep: no time or less than none returns at once, without parking",
          "[time][unit][TI-01][TI-03]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    // Whoever runs meanwhile may find the sleeper preempted, but not parked.
    std::string found;
    weft::join_handle<void> other = weft::spawn(
        [&found, sleeper = weft::this_fiber::id()] { found = test::state_of(sleeper); });
    weft::sleep_for(0s);
    weft::sleep_for(-1ns);
    weft::sleep_for(clock::duration::min());
    weft::sleep_for(std::chrono::hours::min());
    weft::sleep_until(watch.start());
    weft::sleep_until(clock::time_point::min());
    CHECK(watch.elapsed() == 0s);
    other.join();
    REQUIRE(!found.empty());
    CHECK(found.rfind("sleep", 0) != 0);
  });
}

TEST_CASE("sleep: the longest durations are not short ones", "[time][unit][TI-03]") {
  test::run_in_virtual_time([] {
    auto [ctx, cancel] = weft::with_cancel({});
    test::tally early;
    test::tally cancelled;
    const auto sleeps = [&](auto how) {
      weft::go([&, how] {
        std::error_code ec;
        how(ctx, ec);
        (ec ? cancelled : early).add();
      });
    };
    sleeps([](auto& c, auto& ec) { weft::sleep_for(c, clock::duration::max(), ec); });
    sleeps([](auto& c, auto& ec) { weft::sleep_for(c, std::chrono::hours::max(), ec); });
    sleeps([](auto& c, auto& ec) { weft::sleep_until(c, clock::time_point::max(), ec); });
    weft::sleep_for(24h * 365 * 100);
    CHECK(early.count() == 0);
    CHECK(cancelled.count() == 0);
    cancel();
    test::until([&] { return cancelled.count() == 3; }, "the sleeps were cancelled");
  });
}

TEST_CASE("sleep: until a time point of another clock", "[time][os][TI-01]") {
  test::run_with_procs([] {
    const auto steady = std::chrono::steady_clock::now() + 2ms;
    weft::sleep_until(steady);
    CHECK(std::chrono::steady_clock::now() >= steady);
    const auto system = std::chrono::system_clock::now() + 2ms;
    weft::sleep_until(system);
    CHECK(std::chrono::system_clock::now() >= system);
  });
}

TEST_CASE("sleep: the fiber is shown as sleeping", "[time][unit][TI-02][SC-22]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = weft::with_cancel({});
    test::task sleeper(test::kind::fiber, [&] {
      std::error_code ec;
      weft::sleep_for(ctx, 1h, ec);
    });
    sleeper.until_blocked("sleep");
    cancel();
    sleeper.join();
  });
}

TEST_CASE("sleep: 10 000 fibers sleep for a second in a second", "[time][unit][TI-02]") {
  test::run_in_virtual_time([] {
    constexpr int n = 10'000;
    const test::stopwatch watch;
    test::tally woken;
    for (int i = 0; i < n; ++i) {
      weft::go([&] {
        weft::sleep_for(1s);
        woken.add();
      });
    }
    weft::sleep_for(999'999'999ns);
    CHECK(woken.count() == 0);
    weft::sleep_for(2ns);
    CHECK(woken.count() == n);
    CHECK(watch.elapsed() == 1'000'000'001ns);
  });
}

TEST_CASE("sleep: many fibers sleep on one processor at the same time", "[time][os][TI-02]") {
  weft::options options;
  options.procs = 1;
  const int n = test::sanitized ? 1'000 : 10'000;
  weft::run(
      [&] {
        const test::stopwatch watch;
        test::tally woken;
        for (int i = 0; i < n; ++i) {
          weft::go([&] {
            weft::sleep_for(200ms);
            woken.add();
          });
        }
        test::until([&] { return woken.count() == n; }, "all have woken");
        CHECK(watch.elapsed() >= 200ms);
        CHECK(watch.elapsed() < test::soon(200ms));
      },
      options);
}

TEST_CASE("sleep: sleepers wake in the order of their times", "[time][unit][TI-23]") {
  test::run_in_virtual_time([] {
    test::notes<int> order;
    for (const int ms : {30, 10, 20, 40}) {
      weft::go([&, ms] {
        weft::sleep_for(std::chrono::milliseconds(ms));
        order.add(ms);
      });
    }
    weft::sleep_for(1s);
    CHECK(order.all() == std::vector{10, 20, 30, 40});
  });
}

TEST_CASE("sleep: a context ends it with its error", "[time][unit][TI-29][CX-22]") {
  test::run_in_virtual_time([] {
    auto [ctx, cancel] = weft::with_cancel({});
    const test::stopwatch watch;
    weft::go([&] {
      weft::sleep_for(1s);
      cancel();
    });
    std::error_code ec;
    weft::sleep_for(ctx, 1h, ec);
    CHECK(ec == weft::errc::canceled);
    CHECK(watch.elapsed() == 1s);
    // Done before: fails at once, even where there is nothing to sleep.
    weft::sleep_for(ctx, 0s, ec);
    CHECK(ec == weft::errc::canceled);
    weft::sleep_until(ctx, watch.start(), ec);
    CHECK(ec == weft::errc::canceled);
    CHECK_THROWS_AS(weft::sleep_for(ctx, 1s), std::system_error);
    CHECK_THROWS_AS(weft::sleep_until(ctx, clock::now() + 1s), std::system_error);
    CHECK(watch.elapsed() == 1s);
  });
}

TEST_CASE("sleep: the deadline of its context ends it", "[time][unit][TI-29][CX-22]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    auto [ctx, cancel] = weft::with_timeout({}, 2s);
    weft::sleep_for(ctx, 1s);
    CHECK(watch.elapsed() == 1s);
    std::error_code ec;
    weft::sleep_for(ctx, 5s, ec);
    CHECK(ec == weft::errc::deadline_exceeded);
    CHECK(watch.elapsed() == 2s);
  });
}

TEST_CASE("sleep: with a context that is never done it just sleeps", "[time][unit][TI-29]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    std::error_code ec = weft::errc::closed;
    weft::sleep_for(weft::context(), 1s, ec);
    CHECK_FALSE(ec);
    auto [ctx, cancel] = weft::with_cancel({});
    weft::sleep_for(ctx, 1s);
    weft::sleep_until(ctx, watch.start());
    weft::sleep_until(ctx, clock::time_point::min());
    CHECK(watch.elapsed() == 2s);
  });
}

TEST_CASE("sleep: a plain thread's sleep is ended by a context", "[time][os][TI-29][CX-22]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = weft::with_cancel({});
    test::task sleeper(test::kind::thread, [&] {
      std::error_code ec;
      weft::sleep_for(ctx, 1h, ec);
      if (ec != weft::errc::canceled) throw std::runtime_error("not cancelled");
    });
    sleeper.until_blocked();
    cancel();
    sleeper.join();
  });
}
