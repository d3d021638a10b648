// Stress of the take-away: fibers that lose their processor in every place.
//
// The bracket of enter and leave against the taker's look is what is tested here: a taker that
// takes a processor in use corrupts a queue, a pool or a timer heap, which the sums below would
// show.
#include <atomic>
#include <chrono>
#include <cstdint>
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
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

constexpr int scale = test::sanitized ? 1 : 4;

}  // namespace

TEST_CASE("take-away: hogs of random lengths between all kinds of entries", "[stress][SC-11]") {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([seed] {
    weft::chan<std::uint64_t> ch = weft::make_chan<std::uint64_t>();
    weft::mutex mutex;
    long guarded = 0;
    test::tally sent;
    test::tally received;
    test::tally born;
    constexpr std::uint64_t many = 8;
    constexpr int each = 25 * scale;
    std::vector<weft::join_handle<void>> fibers;
    for (std::uint64_t f = 0; f < many; ++f) {
      fibers.push_back(weft::spawn([&, f] {
        test::random random(seed, f);
        for (int i = 0; i < each; ++i) {
          // Around the 1 ms after which a processor may be taken: the taker and the entry meet.
          test::spin_for(std::chrono::microseconds(random.below(1'500)));
          switch (random.below(5)) {
            case 0:
              weft::select(weft::send(ch, 1U, [&] { sent.add(); }),
                           weft::recv(ch, [&](std::uint64_t) { received.add(); }),
                           weft::timeout(200us));
              break;
            case 1:
              mutex.lock();
              ++guarded;
              mutex.unlock();
              break;
            case 2:
              weft::spawn([&] { born.add(); }).join();
              break;
            case 3:
              weft::sleep_for(50us);
              break;
            default:
              weft::yield();
              break;
          }
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(sent.count() == received.count());
    CHECK(weft::num_fibers() == 1);
  });
}

TEST_CASE("take-away: entries as close together as can be, against a busy taker",
          "[stress][SC-11]") {
  // Each machine enters and leaves all the time; long computations make the taker ask all the time.
  test::run_with_procs([] {
    std::atomic<bool> stop{false};
    test::expectations e;
    std::vector<weft::join_handle<void>> fibers;
    for (int f = 0; f < 6; ++f) {
      fibers.push_back(weft::spawn([&] {
        weft::chan<int> mine = weft::make_chan<int>(4);
        int next_in = 0;
        int next_out = 0;
        while (!stop) {
          for (int k = 0; k < 3; ++k) mine.send(next_in++);
          for (int k = 0; k < 3; ++k) e.that(mine.recv() == next_out++, "in order");
        }
      }));
      fibers.push_back(weft::spawn([&] {
        while (!stop) {
          test::spin_for(1100us);
          weft::spawn([] {}).join();
        }
      }));
    }
    for (int i = 0; i < 25 * scale; ++i) weft::sleep_for(1ms);
    stop = true;
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("take-away: blocking calls and hogs change places", "[stress][SC-11][SC-12]") {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([seed] {
    test::tally done;
    std::vector<weft::join_handle<void>> fibers;
    constexpr int each = 30 * scale;
    for (std::uint64_t f = 0; f < 10; ++f) {
      fibers.push_back(weft::spawn([&, f] {
        test::random random(seed, 100 + f);
        for (int i = 0; i < each; ++i) {
          const auto length = std::chrono::microseconds(random.below(400));
          if (random.below(2) == 0) {
            weft::blocking([&] { test::spin_for(length); });
          } else {
            test::spin_for(length * 4);
          }
          if (random.below(3) == 0) weft::yield();
          done.add();
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(done.count() == 10L * each);
  });
}

TEST_CASE("take-away: more hogs than may run without a processor come all to their ends",
          "[stress][SC-11]") {
  for (const unsigned procs : {1U, 2U}) {
    weft::run(
        [] {
          test::tally ended;
          for (int i = 0; i < 40; ++i) {
            weft::go([&] {
              for (int k = 0; k < 2 * scale; ++k) {
                test::spin_for(2ms);
                weft::yield();
              }
              ended.add();
            });
          }
          test::until([&] { return ended.count() == 40; }, "all hogs have ended");
        },
        weft::options{.procs = procs});
  }
}

TEST_CASE("take-away: the number of processors changes while hogs hold them",
          "[stress][SC-11][SC-06]") {
  test::run_with_procs([] {
    std::atomic<bool> stop{false};
    test::tally spun;
    std::vector<weft::join_handle<void>> fibers;
    for (int f = 0; f < 6; ++f) {
      fibers.push_back(weft::spawn([&] {
        while (!stop) {
          test::spin_for(1300us);
          spun.add();
          weft::yield();
        }
      }));
    }
    for (unsigned round = 0; round < 20U * scale; ++round) {
      weft::set_procs(round % 4 + 1);
      weft::sleep_for(500us);
    }
    stop = true;
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(spun.count() > 0);
  });
}
