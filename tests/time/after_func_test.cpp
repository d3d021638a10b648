// Functions that a timer starts: when, how often, stopped or not, and what becomes of them.
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/virtual_time.hpp"
#include "weft/arch/fault.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

using namespace std::chrono_literals;
using weft::after_func;
using weft::clock;

TEST_CASE("after_func: it runs in a fiber of its own when the time has come",
          "[time][unit][TI-11]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    test::notes<clock::duration> ran;
    bool in_other_fiber = false;
    const auto t = after_func(3s, [&, main = weft::this_fiber::id(), p = std::make_unique<int>(1)] {
      in_other_fiber = weft::this_fiber::id() != main;
      weft::sleep_for(1s);  // it may block
      ran.add(watch.elapsed());
    });
    CHECK_FALSE(static_cast<bool>(t.c()));
    weft::sleep_for(3s - 1ns);
    CHECK(ran.size() == 0);
    weft::sleep_for(10s);
    CHECK(ran.all() == std::vector<clock::duration>{4s});
    CHECK(in_other_fiber);
  });
}

TEST_CASE("after_func: stop is true if the function will not run", "[time][unit][TI-12]") {
  test::run_in_virtual_time([] {
    test::tally ran;
    auto stopped = after_func(1s, [&] { ran.add(); });
    CHECK(stopped.stop());
    CHECK_FALSE(stopped.stop());
    weft::sleep_for(2s);
    CHECK(ran.count() == 0);
    auto started = after_func(1s, [&] {
      weft::sleep_for(5s);
      ran.add();
    });
    weft::sleep_for(2s);
    CHECK_FALSE(started.stop());  // does not wait for it
    CHECK(ran.count() == 0);
    weft::sleep_for(5s);
    CHECK(ran.count() == 1);
  });
}

TEST_CASE("after_func: reset moves a pending run, or schedules another",
          "[time][unit][TI-11][TI-13]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    test::notes<clock::duration> starts;
    test::notes<clock::duration> ends;
    auto t = after_func(1s, [&] {
      starts.add(watch.elapsed());
      weft::sleep_for(10s);
      ends.add(watch.elapsed());
    });
    CHECK(t.reset(2s));
    weft::sleep_for(3s);
    CHECK_FALSE(t.reset(1s));  // overlaps the first run
    weft::sleep_for(3s);
    CHECK_FALSE(t.reset(0s));
    weft::sleep_for(20s);
    CHECK(starts.all() == std::vector<clock::duration>{2s, 4s, 6s});
    CHECK(ends.all() == std::vector<clock::duration>{12s, 14s, 16s});
  });
}

TEST_CASE("after_func: without a positive duration it starts at once, in its own fiber",
          "[time][unit][TI-14][ST-17]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    const auto main = weft::this_fiber::id();
    for (const auto d : {0ns, -5ns}) {
      test::tally ran;
      auto t = after_func(d, [&] { ran.add(weft::this_fiber::id() == main ? 100 : 1); });
      CHECK(ran.count() == 0);
      CHECK_FALSE(t.stop());
      test::until([&] { return ran.count() != 0; }, "it has run");
      CHECK(ran.count() == 1);
    }
    CHECK(watch.elapsed() == 0s);
  });
}

TEST_CASE("after_func: dropping the timer stops it, detach lets it be", "[time][unit][TI-11]") {
  test::run_in_virtual_time([] {
    test::tally dropped;
    test::tally detached;
    {
      const auto t = after_func(1s, [&] { dropped.add(); });
    }
    after_func(1s, [&] { detached.add(); }).detach();
    weft::sleep_for(2s);
    CHECK(dropped.count() == 0);
    CHECK(detached.count() == 1);
  });
}

TEST_CASE("after_func: the function is destroyed once, whether it ran or not",
          "[time][unit][TI-25]") {
  const auto counted = [](auto use) {
    const auto alive = std::make_shared<int>(0);
    test::run_in_virtual_time([&] {
      use(alive);
      weft::sleep_for(10s);
      CHECK(alive.use_count() == 1);
    });
  };
  counted([](auto p) { static_cast<void>(after_func(1s, [p] {}).stop()); });
  counted([](auto p) { after_func(1s, [p] {}).detach(); });
  counted([](auto p) {
    auto t = after_func(1s, [p] {});
    weft::sleep_for(2s);
    t.reset(1s);
    weft::sleep_for(2s);
  });
}

TEST_CASE("after_func: one that is pending when the run ends is released", "[time][unit][TI-25]") {
  const auto alive = std::make_shared<int>(0);
  test::run_in_virtual_time([&] { after_func(1h, [alive] {}).detach(); });
  CHECK(alive.use_count() == 1);
}

TEST_CASE("after_func: what came before it is seen by the function", "[time][os][TI-26]") {
  test::run_with_procs([] {
    int written = 0;  // without an atomic: a data race shows under ThreadSanitizer
    test::notes<int> seen;
    auto t = after_func(1h, [&] { seen.add(written); });
    for (int i = 1; i <= 50; ++i) {
      written = i;
      t.reset(10us);
      test::until([&] { return seen.size() == static_cast<std::size_t>(i); }, "it has run");
    }
    CHECK(seen.all().back() == 50);
  });
}

TEST_CASE("after_func: starting and stopping at the same time loses and doubles no run",
          "[time][stress][TI-12]") {
  test::run_with_procs([] {
    test::tally ran;
    long stopped = 0;
    constexpr int rounds = 2'000;
    for (int i = 0; i < rounds; ++i) {
      auto t = after_func(std::chrono::nanoseconds(i % 1000), [&] { ran.add(); });
      if (i % 3 == 0) weft::yield();
      if (t.stop()) ++stopped;
    }
    test::until([&] { return ran.count() + stopped >= rounds; }, "all have run or were stopped");
    CHECK(ran.count() + stopped == rounds);
  });
}

TEST_CASE("after_func: without memory for its fiber for a second the process ends with a report",
          "[time][os]") {
  const test::child_end end = test::in_child([] {
    weft::run(
        [] {
          weft::detail::set_fault_hook_for_testing([](const char* call) noexcept {
            return std::strcmp(call, "mmap") == 0 ? ENOMEM : 0;
          });
          const weft::chan<int> never = weft::make_chan<int>();
          const weft::timer t = weft::after_func(1ms, [] { std::puts("has run"); });
          try {
            for (;;) weft::go([never] { (void)never.recv(); });
          } catch (const std::bad_alloc&) {  // no record is left
          }
          (void)never.recv();
        },
        weft::options{.procs = 1});
  });
  CHECK(end.status == 2);
  CHECK(end.out.empty());
  CHECK(end.err.rfind("fatal error: out of memory: a timer is due, and for a second there was none "
                      "for the fiber that it starts\n",
                      0) == 0);
}
