// Stress of starting and ending fibers: a million alive at once, storms, trees.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace {

// Sanitizers give each fiber memory of their own, some 50 KB and more.
constexpr std::size_t alive_at_once = WEFT_TSAN ? 5'000 : WEFT_ASAN ? 50'000 : 1'000'000;
constexpr int ending = test::sanitized ? 10'000 : 100'000;

}  // namespace

TEST_CASE("spawn: a million fibers are alive at once", "[stress][SC-38]") {
  if (test::sanitized) {
    WARN(std::to_string(alive_at_once) + " fibers instead of 1,000,000: this is a sanitizer build");
  }
  weft::run([] {
    weft::chan<int> gate = weft::make_chan<int>();
    test::tally started;
    test::tally woken;
    for (std::size_t i = 0; i < alive_at_once; ++i) {
      weft::go([gate, &started, &woken] {
        started.add();
        (void)gate.recv();
        woken.add();
      });
    }
    const long all = static_cast<long>(alive_at_once);
    test::until([&] { return started.count() == all; }, "all have started");
    CHECK(woken.count() == 0);
    CHECK(weft::num_fibers() == alive_at_once + 1);
    gate.close();
    test::until([&] { return weft::num_fibers() == 1; }, "all have ended");
    CHECK(woken.count() == all);
  });
}

TEST_CASE("spawn: a million fibers are abandoned at once", "[stress][SC-03][SC-38]") {
  weft::run([] {});  // a sanitizer's own thread comes with the first one
  const test::holdings before = test::holdings::now();
  weft::run([] {
    for (std::size_t i = 0; i < alive_at_once / 4; ++i)
      weft::go([] { (void)weft::chan<int>().recv(); });
    weft::yield();
  });
  const test::holdings after = test::holdings::now();
  CHECK(after.threads <= before.threads);
  CHECK(after.descriptors <= before.descriptors);
}

TEST_CASE("fiber I1: a hundred thousand end while others start, and each runs once",
          "[stress][SC-01][SC-26]") {
  test::run_with_procs([] {
    // Records and stacks go back to the pool by one machine while others take them.
    test::tally ended;
    std::vector<weft::join_handle<void>> starters;
    for (int s = 0; s < 4; ++s) {
      starters.push_back(weft::spawn([&] {
        for (int i = 0; i < ending / 4; ++i) {
          weft::go([&ended, i] {
            if (i % 3 == 0) weft::yield();
            ended.add();
          });
          if (i % 64 == 0) weft::yield();
        }
      }));
    }
    for (weft::join_handle<void>& s : starters) s.join();
    test::until([&] { return ended.count() == ending / 4 * 4; }, "all have ended");
    test::until([] { return weft::num_fibers() == 1; }, "none is left");
  });
}

TEST_CASE("spawn: plain threads and fibers start fibers together", "[stress][SC-37][SC-01]") {
  test::run_with_procs([] {
    weft::runtime* rt = weft::runtime::current();
    test::tally ran;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < ending / 10; ++i) rt->go([&] { ran.add(); });
      });
    }
    for (int i = 0; i < ending / 10; ++i) weft::spawn([&] { ran.add(); }).join();
    const long all = ending / 10 * 4L;
    test::until([&] { return ran.count() == all; }, "all have run");
    for (std::thread& t : threads) t.join();
  });
}

TEST_CASE("spawn: fibers of many sizes and ways out share the pools",
          "[stress][SC-01][SC-13][SC-27]") {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([seed] {
    test::tally destroyed;
    struct guard {
      test::tally* t;
      ~guard() { t->add(); }
    };
    std::vector<weft::join_handle<void>> starters;
    constexpr long each = ending / 40;
    for (std::uint64_t s = 0; s < 4; ++s) {
      starters.push_back(weft::spawn([&, s] {
        test::random random(seed, s);
        for (long i = 0; i < each; ++i) {
          const std::size_t size = (16 + random.below(8) * 64) * 1024;
          const std::uint64_t way = random.below(4);
          auto body = [&destroyed, way] {
            const guard g{&destroyed};
            if (way == 0) weft::yield();
            if (way == 1) weft::exit_fiber();
            if (way == 2) {
              try {
                throw 1;
              } catch (int) {
                weft::yield();
              }
            }
          };
          if (way == 3) {
            weft::spawn(weft::fiber_options{"sized", size + 64 * 1024}, body).join();
          } else {
            weft::go(weft::fiber_options{"sized", size + 64 * 1024}, body);
          }
        }
      }));
    }
    for (weft::join_handle<void>& s : starters) s.join();
    test::until([&] { return destroyed.count() == 4 * each; }, "all have been unwound");
    test::until([] { return weft::num_fibers() == 1; }, "none is left");
  });
}

TEST_CASE("spawn: a binary tree of joins on all processors", "[stress][SC-01]") {
  struct tree {
    static long sum(int depth) {
      if (depth == 0) return 1;
      weft::join_handle<long> left = weft::spawn([depth] { return sum(depth - 1); });
      weft::join_handle<long> right = weft::spawn([depth] { return sum(depth - 1); });
      return left.join() + right.join();
    }
  };
  constexpr int depth = test::sanitized ? 10 : 14;
  test::run_with_procs([] { CHECK(tree::sum(depth) == 1L << depth); });
}
