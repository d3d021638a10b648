// Stacks: the overflow report, their sizes, what they cost, and the system's own stack.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kib = 1024;

// Touches `bytes` of the calling stack, from the top down, in frames of a page or so.
WEFT_NOINLINE std::size_t use_stack(std::size_t bytes) {
  volatile char frame[2 * kib];
  frame[0] = 1;
  frame[sizeof frame - 1] = 1;
  if (bytes <= sizeof frame) return static_cast<std::size_t>(frame[0]);
  const std::size_t below = use_stack(bytes - sizeof frame);
  return below + static_cast<std::size_t>(frame[sizeof frame - 1]);
}

WEFT_NOINLINE int recurse_for_ever(int n) {
  volatile char frame[512];
  frame[0] = static_cast<char>(n);
  const int below = n < 0 ? 0 : recurse_for_ever((n + 1) & 0x7fffffff);
  return below + frame[0];
}

}  // namespace

TEST_CASE("stack: an overflow ends the process with the fiber's name, size and backtrace",
          "[runtime][unit][SC-27]") {
  for (const unsigned procs : {1U, 2U}) {
    const test::child_end end = test::in_child([procs] {
      weft::run(
          [] {
            weft::spawn(weft::fiber_options{"deep diver", 64 * kib}, [] {
              weft::yield();
              return recurse_for_ever(0);
            }).join();
          },
          weft::options{.procs = procs});
    });
    INFO(end.err.substr(0, 2000));
    CHECK(end.status == 2);
    CHECK(end.signal == 0);
    CHECK(end.err.rfind("fatal error: stack overflow", 0) == 0);
    CHECK(test::contains(end.err, "deep diver"));
    // Some 64 KiB, less the guard.
    CHECK(std::regex_search(end.err, std::regex("stack has 6[0-9]{4} bytes")));
    CHECK(test::count_of(end.err, "recurse_for_ever") >= 3);
  }
}

TEST_CASE("stack: an overflow is reported in main, and of a fiber that lost its processor",
          "[runtime][os][SC-27][SC-11]") {
  const test::child_end main = test::in_child([] { weft::run([] { recurse_for_ever(0); }); });
  CHECK(main.status == 2);
  CHECK(main.err.rfind("fatal error: stack overflow", 0) == 0);
  const test::child_end hog = test::in_child([] {
    weft::run(
        [] {
          std::atomic<bool> others_run{false};
          weft::go([&] { others_run = true; });
          weft::go([&] {
            test::spin_until_set(others_run);
            recurse_for_ever(0);
          });
          (void)weft::make_chan<int>().recv();
        },
        weft::options{.procs = 1});
  });
  CHECK(hog.status == 2);
  CHECK(hog.err.rfind("fatal error: stack overflow", 0) == 0);
}

TEST_CASE("stack: a wild access elsewhere is not called an overflow", "[runtime][unit][SC-27]") {
  if (test::sanitized) return;  // the sanitizer reports it first, in its own way
  const test::child_end end = test::in_child([] {
    weft::run([] {
      weft::spawn([] {
        volatile int* volatile nowhere = reinterpret_cast<volatile int*>(8);
        *nowhere = 1;
      }).join();
    });
  });
  CHECK((end.signal != 0 || end.status != 0));
  CHECK_FALSE(test::contains(end.err, "stack overflow"));
}

TEST_CASE("stack: fibers have the size that was asked for", "[runtime][unit][SC-27]") {
  test::run_with_procs([] {
    // Most of the default 256 KiB, then far more than that.
    CHECK(weft::spawn([] { return use_stack(200 * kib); }).join() > 0);
    for (int i = 0; i < 3; ++i) {
      weft::join_handle<std::size_t> big =
          weft::spawn(weft::fiber_options{"big", 4096 * kib}, [] { return use_stack(3800 * kib); });
      CHECK(big.join() > 0);
    }
    weft::go(weft::fiber_options{"small", 16 * kib}, [] { use_stack(4 * kib); });
  });
  weft::options o;
  o.stack_size = 1024 * kib;
  CHECK(weft::run([] { return use_stack(900 * kib); }, o) > 0);
}

TEST_CASE("stack: one of more than 1 GiB is refused at the call", "[runtime][unit][SC-27]") {
  test::run_with_procs([] {
    // The last would be small again in 32 bits.
    for (const std::size_t size : {(std::size_t{1} << 30U) + 1, (std::size_t{1} << 32U) + 1}) {
      const weft::fiber_options options{"huge", size};
      CHECK_THROWS_AS(weft::go(options, [] {}), std::invalid_argument);
      CHECK_THROWS_AS(weft::spawn(options, [] {}), std::invalid_argument);
    }
    CHECK(weft::num_fibers() == 1);
  });
}

TEST_CASE("stack: what one fiber leaves on a stack does not disturb the next",
          "[runtime][unit][SC-27]") {
  test::run_with_procs([] {
    for (int i = 0; i < 200; ++i) {
      weft::join_handle<std::size_t> deep = weft::spawn([] { return use_stack(100 * kib); });
      weft::join_handle<std::size_t> flat = weft::spawn([] { return use_stack(1); });
      REQUIRE(deep.join() > 0);
      REQUIRE(flat.join() > 0);
    }
  });
}

TEST_CASE("stack: pages are committed only when they are touched", "[runtime][os][SC-27]") {
  if (test::sanitized) {
    WARN("skipped under sanitizers: their shadow hides what a stack costs");
    return;
  }
  weft::run([] {
    constexpr std::size_t fibers = 10'000;
    weft::chan<int> gate = weft::make_chan<int>();
    const std::size_t before = test::resident_bytes();
    for (std::size_t i = 0; i < fibers; ++i) weft::go([gate] { (void)gate.recv(); });
    test::until_blocked(fibers, "chan receive");
    const std::size_t grown = test::resident_bytes() - before;
    // A page or two of the 64 that each has reserved.
    CHECK(grown / fibers < 16 * kib);
    gate.close();
  });
}

TEST_CASE("stack: pages of deep stacks are given back after use", "[runtime][os][SC-27]") {
  if (test::sanitized) {
    WARN("skipped under sanitizers: their shadow hides what a stack costs");
    return;
  }
  weft::run([] {
    constexpr std::size_t fibers = 400;
    constexpr std::size_t depth = 200 * kib;
    const std::size_t before = test::resident_bytes();
    weft::chan<int> gate = weft::make_chan<int>();
    for (std::size_t i = 0; i < fibers; ++i) {
      weft::go([gate] {
        use_stack(depth);
        (void)gate.recv();
      });
    }
    test::until_blocked(fibers, "chan receive");
    REQUIRE(test::resident_bytes() - before > fibers * depth / 2);
    gate.close();
    test::until([] { return weft::num_fibers() == 1; }, "all have ended");
    // By sysmon; what processors keep in their caches comes back as well.
    test::until(
        [&] {
          weft::sleep_for(20ms);
          return test::resident_bytes() < before + fibers * depth / 16;
        },
        "the pages are given back");
  });
}

TEST_CASE("stack: pages of stacks that a busy runtime does not use are given back",
          "[runtime][os][SC-27]") {
  if (test::sanitized) {
    WARN("skipped under sanitizers: their shadow hides what a stack costs");
    return;
  }
  const std::size_t size = GENERATE(std::size_t{0}, 512 * kib);
  weft::run([size] {
    constexpr std::size_t fibers = 400;
    constexpr std::size_t depth = 200 * kib;
    const std::size_t before = test::resident_bytes();
    weft::chan<int> gate = weft::make_chan<int>();
    for (std::size_t i = 0; i < fibers; ++i) {
      weft::go(weft::fiber_options{"deep", size}, [gate] {
        use_stack(depth);
        (void)gate.recv();
      });
    }
    test::until_blocked(fibers, "chan receive");
    gate.close();
    test::until([] { return weft::num_fibers() == 1; }, "all have ended");
    // It never sleeps meanwhile. The 64 of the pool and those of the caches stay as they are.
    test::until([&] { return test::resident_bytes() < before + fibers * depth / 2; },
                "the pages are given back");
  });
}

TEST_CASE("stack: on_system_stack has room for what a fiber's stack has not",
          "[runtime][unit][SC-27]") {
  test::run_with_procs([] {
    std::vector<weft::join_handle<bool>> fibers;
    for (int i = 0; i < 8; ++i) {
      fibers.push_back(weft::spawn(weft::fiber_options{"small", 32 * kib}, [i] {
        int on_my_stack = i;
        const std::size_t deep = weft::on_system_stack([&] {
          ++on_my_stack;
          return use_stack(1024 * kib);
        });
        weft::yield();
        return deep > 0 && on_my_stack == i + 1;
      }));
    }
    for (weft::join_handle<bool>& f : fibers) CHECK(f.join());
  });
  // A plain thread is on such a stack already.
  CHECK(weft::on_system_stack([] { return 4; }) == 4);
}

TEST_CASE("stack: exceptions pass on_system_stack, and it nests", "[runtime][unit][SC-27][SC-16]") {
  test::run_with_procs([] {
    CHECK_THROWS_AS(weft::on_system_stack([]() -> int { throw std::out_of_range("deep"); }),
                    std::out_of_range);
    CHECK(weft::on_system_stack([] { return weft::on_system_stack([] { return 3; }); }) == 3);
    bool ran = false;
    weft::on_system_stack([&] { ran = true; });
    CHECK(ran);
    // It can be used again after an exception, and the fiber still parks.
    weft::spawn([] { weft::yield(); }).join();
  });
}

TEST_CASE("stack: others run on while a fiber computes on the system stack",
          "[runtime][os][SC-11][SC-27]") {
  weft::run(
      [] {
        std::atomic<bool> others_run{false};
        weft::go([&] { others_run = true; });
        // With one processor only taking it away lets the other run.
        CHECK(weft::on_system_stack([&] { return test::spin_until_set(others_run); }));
        weft::yield();
      },
      weft::options{.procs = 1});
}

TEST_CASE("stack: a hundred thousand fibers blocked at once are created, woken and ended",
          "[runtime][os][SC-38]") {
  constexpr std::size_t fibers = test::sanitized ? 5'000 : 100'000;
  if (test::sanitized) WARN("5,000 fibers instead of 100,000 under sanitizers");
  test::run_with_procs([] {
    for (int round = 0; round < 2; ++round) {
      weft::chan<int> gate = weft::make_chan<int>();
      test::tally woken;
      for (std::size_t i = 0; i < fibers; ++i) {
        weft::go([gate, &woken] {
          (void)gate.recv();
          woken.add();
        });
      }
      test::until_blocked(fibers, "chan receive");
      CHECK(weft::num_fibers() == fibers + 1);
      gate.close();
      test::until([&] { return weft::num_fibers() == 1; }, "all have ended");
      CHECK(woken.count() == static_cast<long>(fibers));
    }
  });
}

TEST_CASE("stack: memory of many fibers returns to the pool and is used again",
          "[runtime][os][SC-38]") {
  if (test::sanitized) {
    WARN("skipped under sanitizers: their shadow hides what a stack costs");
    return;
  }
  weft::run([] {
    constexpr std::size_t fibers = 20'000;
    const auto round = [] {
      weft::chan<int> gate = weft::make_chan<int>();
      for (std::size_t i = 0; i < fibers; ++i) weft::go([gate] { (void)gate.recv(); });
      test::until_blocked(fibers, "chan receive");
      gate.close();
      test::until([] { return weft::num_fibers() == 1; }, "all have ended");
    };
    round();
    const std::size_t after_first = test::resident_bytes();
    for (int i = 0; i < 4; ++i) round();
    // Four more rounds of 80 MB and more: without reuse this is 300 MB.
    CHECK(test::resident_bytes() < after_first + 40 * kib * kib);
  });
}
