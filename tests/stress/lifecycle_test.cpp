// Stress of runtimes themselves: a thousand starts and stops leave nothing behind.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

constexpr int starts = test::sanitized ? 100 : 1000;

// Something of everything that takes threads, descriptors, timers and stacks.
void live_a_little(int round) {
  weft::options o;
  o.procs = 1 + static_cast<unsigned>(round) % 4;
  switch (round % 3) {
    case 0:
      o.on_exit = weft::exit_policy::abandon;
      break;
    case 1:
      o.on_exit = weft::exit_policy::unwind;
      break;
    default:
      o.on_exit = weft::exit_policy::wait;
      break;
  }
  weft::run(
      [round] {
        weft::chan<int> ch = weft::make_chan<int>();
        for (int i = 0; i < 5; ++i) weft::go([ch] { ch.send(1); });
        for (int i = 0; i < 5; ++i) (void)ch.recv();
        weft::blocking([] {});
        weft::select(weft::recv(ch), weft::timeout(10us));
        weft::spawn([] { const weft::thread_pin pin; }).join();
        if (round % 3 != 2) {
          weft::go([ch] { (void)ch.recv(); });
          weft::go([] { weft::sleep_for(1h); });
        }
      },
      o);
}

}  // namespace

TEST_CASE(
    "lifecycle: a thousand runtimes one after the other leave no thread, descriptor or mapping",
    "[stress][os][SC-36]") {
  for (int i = 0; i < 12; ++i) live_a_little(i);  // malloc and the unwinder take what they keep
  const test::holdings before = test::holdings::now();
  for (int i = 0; i < starts; ++i) live_a_little(i);
  CHECK(test::eventually([&] { return test::holdings::now().threads <= before.threads; }));
  const test::holdings after = test::holdings::now();
  CHECK(after.descriptors == before.descriptors);
  // malloc may have split or added an arena; a mapping for each start would be a thousand.
  CHECK(after.mappings <= before.mappings + 10);
}

TEST_CASE("lifecycle: memory does not grow with the number of starts", "[stress][os][SC-36]") {
  if (test::sanitized) {
    WARN("skipped under sanitizers: they keep freed memory");
    return;
  }
  for (int i = 0; i < 50; ++i) live_a_little(i);
  const std::size_t before = test::resident_bytes();
  for (int i = 0; i < 500; ++i) live_a_little(i);
  CHECK(test::resident_bytes() < before + 8 * 1024 * 1024);
}

TEST_CASE("lifecycle: runtimes start and stop side by side", "[stress][SC-36]") {
  test::expectations e;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < starts / 10; ++i) {
        weft::runtime rt(weft::options{.procs = 1 + static_cast<unsigned>(t)});
        const int got = rt.block_on([=] {
          weft::chan<int> ch = weft::make_chan<int>();
          weft::go([=] { ch.send(t * 1000 + i); });
          weft::sleep_for(20us);
          return ch.recv().value();
        });
        e.that(got == t * 1000 + i, "each runtime's own result");
      }
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(e.failures() == "");
}

TEST_CASE("lifecycle: a runtime that does nothing stops at once", "[stress][SC-36]") {
  for (int i = 0; i < starts; ++i) {
    weft::runtime rt(weft::options{.procs = 2});
    if (i % 2 == 0) rt.shutdown();
  }
  SUCCEED();
}

TEST_CASE("lifecycle: plain threads submit until the very end", "[stress][SC-36][SC-37]") {
  for (int round = 0; round < starts / 10; ++round) {
    std::atomic<int> ran{0};
    {
      weft::options o;
      o.procs = 2;
      o.on_exit = weft::exit_policy::wait;
      weft::runtime rt(o);
      std::vector<std::thread> threads;
      for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
          for (int i = 0; i < 20; ++i) rt.go([&] { ++ran; });
        });
      }
      for (std::thread& t : threads) t.join();
    }  // waits for all sixty
    REQUIRE(ran == 60);
  }
}

TEST_CASE("lifecycle: pinned fibers are at work when the run is unwound",
          "[stress][SC-03][SC-11]") {
  for (int round = 0; round < starts / 2; ++round) {
    std::atomic<int> begun{0};
    std::atomic<int> unwound{0};
    weft::options o;
    o.procs = 2;
    o.on_exit = weft::exit_policy::unwind;
    weft::run(
        [&] {
          // Each wakes another one on its thread, so that machines sleep and are woken all the
          // time; who counts them must not take one that is being woken for asleep.
          const auto ring = weft::make_chan<int>();
          for (int i = 0; i < 4; ++i) {
            weft::go([&, ring] {
              ++begun;
              const test::sentinel frame(unwound);
              const weft::thread_pin pin;
              for (;;) {
                weft::select(weft::send(ring, 1), weft::recv(ring), weft::timeout(20us));
              }
            });
          }
          while (begun < 4) weft::yield();
          weft::sleep_for(std::chrono::microseconds(round % 100));
        },
        o);
    REQUIRE(unwound == 4);
  }
}

TEST_CASE("lifecycle: timers start fibers while the run is unwound", "[stress][SC-03]") {
  for (int round = 0; round < starts; ++round) {
    std::atomic<int> destroyed{0};
    weft::options o;
    o.procs = 1 + static_cast<unsigned>(round) % 2;
    o.on_exit = weft::exit_policy::unwind;
    weft::run(
        [&] {
          for (int i = 0; i < 20; ++i) {
            auto held = std::make_shared<test::sentinel>(destroyed);
            weft::after_func(std::chrono::microseconds(10 * i), [held = std::move(held)] {
              weft::chan<int> never = weft::make_chan<int>();
              (void)never.recv();
            }).detach();
          }
          weft::sleep_for(50us);
          // sysmon is the one that fires them while the only processor is busy.
          test::spin_for(std::chrono::microseconds(round % 100));
        },
        o);
    REQUIRE(destroyed == 20);
  }
}

TEST_CASE("lifecycle: several machines want the first stack of a size at once", "[stress]") {
  for (int round = 0; round < starts / 4; ++round) {
    weft::run(
        [] {
          std::vector<weft::join_handle<void>> fibers;
          for (std::size_t i = 0; i < 12; ++i) {
            const weft::fiber_options with_stack{.name = {},
                                                 .stack_size = std::size_t{65536} << (i % 3)};
            fibers.push_back(weft::spawn(with_stack, [] { weft::yield(); }));
          }
          for (auto& f : fibers) f.join();
        },
        weft::options{.procs = 4});
  }
  SUCCEED();
}
