// The number of processors: what it bounds, and its change while running.
#include <algorithm>
#include <atomic>
#include <chrono>
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
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_CASE("procs: is what the options say", "[sched][unit][SC-05]") {
  test::run_with_procs([](unsigned n) { CHECK(weft::procs() == n); });
  CHECK(weft::run([] { return weft::procs(); }) >= 1);
}

TEST_CASE("procs: with one, two fibers are never both between runtime entries",
          "[sched][os][SC-05]") {
  weft::run(
      [] {
        constexpr int rounds = 2'000;
        std::atomic<bool> inside{false};
        std::atomic<int> overlaps{0};
        std::vector<weft::join_handle<void>> fibers;
        for (int i = 0; i < 2; ++i) {
          fibers.push_back(weft::spawn([&] {
            for (int k = 0; k < rounds; ++k) {
              if (inside.exchange(true)) ++overlaps;
              test::spin_for(20us);
              inside = false;
              weft::yield();
            }
          }));
        }
        for (weft::join_handle<void>& f : fibers) f.join();
        // A thread that the kernel sets aside for milliseconds looks like a hog, so a few may be.
        // Two processors on two CPUs would make it nearly all.
        CHECK(overlaps < rounds / 10);
      },
      weft::options{.procs = 1});
}

TEST_CASE("set_procs: gives the old number and takes effect before it returns",
          "[sched][unit][SC-06]") {
  test::run_with_procs([](unsigned n) {
    CHECK(weft::set_procs(3) == n);
    CHECK(weft::procs() == 3);
    CHECK(weft::set_procs(1) == 3);
    CHECK(weft::procs() == 1);
    CHECK(weft::set_procs(1) == 1);
    CHECK(weft::set_procs(16) == 1);
    CHECK(weft::procs() == 16);
    CHECK(weft::spawn([] { return weft::set_procs(2); }).join() == 16);
    CHECK(weft::procs() == 2);
  });
}

TEST_CASE("set_procs: nought is refused", "[sched][unit][SC-06]") {
  test::run_with_procs([](unsigned n) {
    CHECK_THROWS_AS(weft::set_procs(0), std::logic_error);
    CHECK(weft::procs() == n);
  });
}

TEST_CASE("set_procs: after it went down to one, nobody else runs", "[sched][os][SC-06]") {
  weft::run(
      [] {
        std::atomic<bool> stop{false};
        std::atomic<long> progress{0};
        std::vector<weft::join_handle<void>> busy;
        for (int i = 0; i < 3; ++i) {
          busy.push_back(weft::spawn([&] {
            while (!stop) {
              ++progress;
              weft::yield();
            }
          }));
        }
        constexpr int rounds = 40;
        int moved = 0;
        for (int round = 0; round < rounds; ++round) {
          weft::set_procs(4);
          for (int k = 0; k < 20; ++k) weft::yield();
          weft::set_procs(1);
          // This fiber holds the only processor until its next entry. One that was just between two
          // entries may count once more.
          const long before = progress;
          test::spin_for(100us);
          if (progress - before > 3) ++moved;
        }
        stop = true;
        for (weft::join_handle<void>& f : busy) f.join();
        // If the kernel sets this thread aside for a millisecond it is a hog. Processors that went
        // on would make it every round.
        CHECK(moved < rounds / 4);
      },
      weft::options{.procs = 4});
}

TEST_CASE("set_procs: after it went up, more run at once", "[sched][os][SC-06]") {
  weft::run(
      [] {
        weft::set_procs(4);
        std::atomic<int> inside{0};
        std::atomic<bool> all_in{false};
        std::vector<weft::join_handle<bool>> fibers;
        for (int i = 0; i < 4; ++i) {
          fibers.push_back(weft::spawn([&] {
            if (++inside == 4) all_in = true;
            return test::spin_until_set(all_in);
          }));
        }
        for (weft::join_handle<bool>& f : fibers) CHECK(f.join());
      },
      weft::options{.procs = 1});
}

TEST_CASE("set_procs: up and down under load loses no fiber, timer or value",
          "[sched][os][SC-06]") {
  test::run_with_procs([] {
    std::atomic<bool> stop{false};
    test::tally slept;
    test::tally passed;
    test::tally born;
    std::vector<weft::join_handle<void>> load;
    for (int i = 0; i < 4; ++i) {
      load.push_back(weft::spawn([&] {
        while (!stop) {
          weft::sleep_for(200us);
          slept.add();
        }
      }));
      load.push_back(weft::spawn([&] {
        weft::chan<int> ch = weft::make_chan<int>();
        weft::join_handle<void> partner = weft::spawn([ch] {
          for ([[maybe_unused]] const int n : ch) {
          }
        });
        while (!stop) {
          ch.send(1);
          passed.add();
        }
        ch.close();
        partner.join();
      }));
      load.push_back(weft::spawn([&] {
        while (!stop) {
          weft::spawn([] { weft::yield(); }).join();
          born.add();
        }
      }));
    }
    // Also a hog, which holds a processor that goes away.
    load.push_back(weft::spawn([&] {
      while (!stop) {
        test::spin_for(2ms);
        weft::yield();
      }
    }));
    for (unsigned round = 0; round < 60; ++round) {
      weft::set_procs(round * 7 % 5 + 1);
      weft::sleep_for(300us);
    }
    const long slept_before = slept.count();
    const long passed_before = passed.count();
    const long born_before = born.count();
    test::until(
        [&] {
          return slept.count() > slept_before && passed.count() > passed_before &&
                 born.count() > born_before;
        },
        "everybody still makes progress");
    stop = true;
    for (weft::join_handle<void>& f : load) f.join();
  });
}

TEST_CASE("set_procs: several fibers change it at once", "[sched][unit][SC-06]") {
  test::run_with_procs([] {
    std::vector<weft::join_handle<void>> fibers;
    for (unsigned i = 0; i < 4; ++i) {
      fibers.push_back(weft::spawn([i] {
        for (unsigned k = 0; k < 30; ++k) {
          weft::set_procs((i + k) % 4 + 1);
          weft::yield();
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    weft::set_procs(2);
    CHECK(weft::procs() == 2);
  });
}

TEST_CASE("set_procs: with a hog, a pinned fiber and a blocking call about",
          "[sched][os][SC-06][SC-11][SC-12]") {
  weft::run(
      [] {
        std::atomic<bool> release{false};
        std::atomic<int> about{0};
        std::vector<weft::join_handle<void>> fibers;
        fibers.push_back(weft::spawn([&] {
          ++about;
          test::spin_until_set(release);
        }));
        fibers.push_back(weft::spawn([&] {
          const weft::thread_pin pin;
          ++about;
          while (!release) weft::yield();
        }));
        fibers.push_back(weft::spawn([&] {
          weft::blocking([&] {
            ++about;
            test::spin_until_set(release);
          });
        }));
        test::until([&] { return about == 3; }, "all three are at it");
        for (unsigned n = 1; n <= 6; ++n) {
          weft::set_procs(n);
          CHECK(weft::spawn([] { return weft::procs(); }).join() == n);
        }
        weft::set_procs(1);
        release = true;
        for (weft::join_handle<void>& f : fibers) f.join();
      },
      weft::options{.procs = 2});
}
