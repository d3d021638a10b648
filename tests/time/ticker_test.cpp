// Tickers: the grid, slow receivers, stop and reset.
#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/virtual_time.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

using namespace std::chrono_literals;
using weft::clock;
using weft::ticker;

TEST_CASE("timer I2: ticks stand on the grid", "[time][unit][TI-17]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    const ticker t(10ms);
    for (int i = 1; i <= 100; ++i) {
      REQUIRE(t.c().recv() == watch.start() + i * 10ms);
      REQUIRE(watch.elapsed() == i * 10ms);
      weft::sleep_for(3ms);  // a receiver that takes its time delays nothing
    }
  });
}

TEST_CASE("ticker: on the real clock its ticks keep their distance", "[time][os][TI-17]") {
  test::run_with_procs([] {
    const test::stopwatch watch;
    const ticker t(5ms);
    clock::time_point last = watch.start();
    for (int i = 1; i <= 10; ++i) {
      const auto tick = t.c().recv();
      REQUIRE(tick.has_value());
      CHECK(*tick > last);
      CHECK((*tick - watch.start()) % 5ms < 1ms);  // on the grid, but for the time of the making
      last = *tick;
    }
    CHECK(watch.elapsed() >= 50ms);
    CHECK(watch.elapsed() < test::soon(50ms));
  });
}

TEST_CASE("ticker: a slow receiver finds the oldest tick and loses the others",
          "[time][unit][TI-18]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    const ticker t(20ms);
    weft::sleep_for(105ms);
    CHECK(t.c().recv() == watch.start() + 20ms);
    CHECK(watch.elapsed() == 105ms);
    CHECK(t.c().recv() == watch.start() + 120ms);
    CHECK(t.c().recv() == watch.start() + 140ms);
    CHECK(watch.elapsed() == 140ms);
    CHECK(t.c().size() == 0);
    CHECK(t.c().capacity() == 0);
  });
}

TEST_CASE("ticker: stop ends the ticks, reset starts them again", "[time][unit][TI-19]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    ticker t(10ms);
    CHECK(t.c().recv());
    weft::sleep_for(15ms);  // one waits
    t.stop();
    t.stop();
    CHECK_FALSE(t.c().try_recv());
    CHECK_FALSE(t.c().is_closed());
    CHECK(weft::select(weft::recv(t.c()), weft::timeout(1s)) == 1);
    t.reset(30ms);
    CHECK(watch.elapsed() == 1025ms);
    CHECK(t.c().recv() == watch.start() + 1055ms);
    CHECK(t.c().recv() == watch.start() + 1085ms);
  });
}

TEST_CASE("ticker: the destructor stops it", "[time][unit][TI-19]") {
  test::run_in_virtual_time([] {
    weft::recv_chan<clock::time_point> c;
    {
      const ticker t(10ms);
      c = t.c();
      weft::sleep_for(25ms);
    }
    CHECK_FALSE(c.is_closed());
    CHECK(weft::select(weft::recv(c), weft::timeout(1s)) == 1);
  });
}

TEST_CASE("ticker: reset begins a new grid and forgets the old ticks", "[time][unit][TI-20]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    ticker t(10ms);
    weft::sleep_for(15ms);
    t.reset(100ms);
    CHECK_FALSE(t.c().try_recv());
    CHECK(t.c().recv() == watch.start() + 115ms);
    t.reset(1ms);
    CHECK(t.c().recv() == watch.start() + 116ms);
    CHECK(t.c().recv() == watch.start() + 117ms);
  });
}

TEST_CASE("ticker: an interval must be positive", "[time][unit][TI-16]") {
  test::run_in_virtual_time([] {
    for (const auto d : {0ns, -1ns, clock::duration::min()}) {
      CHECK_THROWS_AS(ticker(d), std::logic_error);
      CHECK_THROWS_WITH(ticker(d), Catch::Contains("non-positive interval for NewTicker"));
    }
    const test::stopwatch watch;
    ticker t(10ms);
    CHECK_THROWS_AS(t.reset(0s), std::logic_error);
    CHECK_THROWS_WITH(t.reset(-1s), Catch::Contains("non-positive interval for Ticker.Reset"));
    CHECK(t.c().recv() == watch.start() + 10ms);
  });
}

TEST_CASE("ticker: the longest interval never ticks", "[time][unit][TI-03]") {
  test::run_in_virtual_time([] {
    ticker t(clock::duration::max());
    CHECK(weft::select(weft::recv(t.c()), weft::timeout(24h * 365)) == 1);
    t.reset(std::chrono::hours::max());
    CHECK(weft::select(weft::recv(t.c()), weft::timeout(24h * 365)) == 1);
  });
}
