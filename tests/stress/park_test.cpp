// Stress of parking and waking: no wake-up is lost, none comes twice, no stack is used by two.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
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

constexpr int scale = test::sanitized ? 1 : 10;

}  // namespace

TEST_CASE("waiter I2: pairs that wake each other as fast as they can never share a stack",
          "[stress][SC-09][SC-10]") {
  // The woken side runs before the waker's commit, on every processor there is: a fiber resumed on
  // a stack still in use would show in the values kept there.
  test::run_with_procs([] {
    test::expectations e;
    std::vector<weft::join_handle<void>> fibers;
    for (int pair = 0; pair < 8; ++pair) {
      weft::chan<int> ping = weft::make_chan<int>();
      weft::chan<int> pong = weft::make_chan<int>();
      fibers.push_back(weft::spawn([=, &e] {
        volatile int on_stack[16];
        for (int i = 0; i < 500 * scale; ++i) {
          for (volatile int& v : on_stack) v = i;
          ping.send(i);
          const std::optional<int> back = pong.recv();
          e.that(back == i, "the answer to this question");
          for (volatile int& v : on_stack) e.that(v == i, "the stack is this fiber's");
        }
        ping.close();
      }));
      fibers.push_back(weft::spawn([=] {
        for (const int i : ping) pong.send(i);
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("park: plain threads and fibers wake each other across runtimes' edges",
          "[stress][SC-37]") {
  test::run_with_procs([] {
    weft::chan<int> to_fibers = weft::make_chan<int>();
    weft::chan<int> to_threads = weft::make_chan<int>(1);
    std::vector<std::thread> threads;
    std::vector<weft::join_handle<void>> fibers;
    test::expectations e;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([=, &e] {
        for (int i = 0; i < 100 * scale; ++i) {
          to_fibers.send(i);
          e.that(to_threads.recv().has_value(), "an answer comes");
        }
      });
    }
    for (int f = 0; f < 3; ++f) {
      fibers.push_back(weft::spawn([=] {
        for (const int i : to_fibers) to_threads.send(i);
      }));
    }
    for (int i = 0; i < 200; ++i) weft::yield();
    for (std::thread& t : threads) weft::blocking([&] { t.join(); });
    to_fibers.close();
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("waiter I1: selects, sleeps, locks and joins at random end each of them once",
          "[stress][SC-08][SC-10]") {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([seed] {
    weft::chan<int> shared = weft::make_chan<int>();
    weft::mutex mutex;
    weft::semaphore permits(2);
    long guarded = 0;
    test::tally turns;
    std::vector<weft::join_handle<void>> fibers;
    constexpr std::uint64_t many = 24;
    constexpr int each = 40 * scale;
    for (std::uint64_t f = 0; f < many; ++f) {
      fibers.push_back(weft::spawn([&, f] {
        test::random random(seed, f);
        for (int i = 0; i < each; ++i) {
          switch (random.below(7)) {
            case 0:
              weft::yield();
              break;
            case 1:
              weft::sleep_for(std::chrono::microseconds(random.below(200)));
              break;
            case 2:
              weft::select(weft::send(shared, 1), weft::recv(shared), weft::timeout(100us));
              break;
            case 3:
              mutex.lock();
              ++guarded;
              if (random.below(4) == 0) weft::yield();
              mutex.unlock();
              break;
            case 4:
              permits.acquire();
              weft::yield();
              permits.release();
              break;
            case 5:
              weft::spawn([] { weft::yield(); }).join();
              break;
            default:
              weft::blocking([] {});
              break;
          }
          turns.add();
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(turns.count() == static_cast<long>(many) * each);
    CHECK(guarded > 0);
  });
}

TEST_CASE("park: handlers and destructors that park keep each its own exception",
          "[stress][SC-16]") {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([seed] {
    test::expectations e;
    struct parker {
      test::random* random;
      ~parker() {
        if (random->below(2) == 0) weft::yield();
      }
    };
    std::vector<weft::join_handle<void>> fibers;
    for (std::uint64_t f = 0; f < 16; ++f) {
      fibers.push_back(weft::spawn([&, f] {
        test::random random(seed, f);
        for (std::uint64_t i = 0; i < 60U * scale; ++i) {
          const std::uint64_t value = f * 1'000'000 + i;
          try {
            try {
              const parker p{&random};
              throw value;
            } catch (std::uint64_t) {
              weft::yield();
              if (random.below(2) == 0) throw;
              const std::exception_ptr kept = std::current_exception();
              weft::yield();
              std::rethrow_exception(kept);
            }
          } catch (std::uint64_t got) {
            e.that(got == value, "what was thrown is what is caught");
            e.that(std::uncaught_exceptions() == 0, "nothing is in flight");
          }
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("park: runs that end while fibers park, wake and start leave no trace",
          "[stress][SC-03][SC-36]") {
  for (const weft::exit_policy policy : {weft::exit_policy::abandon, weft::exit_policy::unwind}) {
    for (int round = 0; round < 5 * scale; ++round) {
      weft::options o;
      o.procs = 1 + static_cast<unsigned>(round) % 4;
      o.on_exit = policy;
      weft::chan<int> outside = weft::make_chan<int>();
      weft::run(
          [=] {
            for (int i = 0; i < 10; ++i) {
              weft::go([=] {
                for (;;) weft::select(weft::send(outside, 1), weft::recv(outside));
              });
              weft::go([=] {
                for (;;) weft::select(weft::recv(outside), weft::timeout(50us));
              });
              weft::go([] {
                for (;;) weft::spawn([] { weft::yield(); }).join();
              });
            }
            for (int i = 0; i < 30; ++i) weft::yield();
          },
          o);
      // No waiter is left in the queue of a channel that lives on.
      REQUIRE_FALSE(outside.try_send(1));
      REQUIRE_FALSE(outside.try_recv().has_value());
    }
  }
}
