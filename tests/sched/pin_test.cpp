// thread_pin: one fiber to a thread and one thread to the fiber, until the last pin is gone.
#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <system_error>
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

}  // namespace

TEST_CASE("pin: the fiber stays on its thread, and no other fiber runs there",
          "[sched][unit][SC-23]") {
  test::run_with_procs([] {
    std::atomic<bool> stop{false};
    test::notes<std::thread::id> others;
    std::vector<weft::join_handle<void>> fibers;
    std::atomic<bool> pinned{false};
    weft::chan<int> ch = weft::make_chan<int>();
    for (int i = 0; i < 6; ++i) {
      fibers.push_back(weft::spawn([&] {
        while (!stop) {
          // Only what surely happened while the pin was there counts.
          const bool before = pinned;
          const std::thread::id here = test::thread_now();
          if (before && pinned) others.add(here);
          weft::yield();
        }
      }));
    }
    weft::go([ch] {
      for (int i = 0; i < 100; ++i) ch.send(i);
    });
    test::expectations e;
    const std::thread::id mine = weft::spawn([&, ch] {
                                   const weft::thread_pin pin;
                                   const std::thread::id thread = test::thread_now();
                                   pinned = true;
                                   for (int i = 0; i < 100; ++i) {
                                     weft::yield();
                                     e.that(test::thread_now() == thread, "after yield");
                                     (void)ch.recv();
                                     e.that(test::thread_now() == thread, "after a receive");
                                     if (i % 10 == 0) weft::sleep_for(100us);
                                     e.that(test::thread_now() == thread, "after a sleep");
                                   }
                                   pinned = false;
                                   return thread;
                                 }).join();
    stop = true;
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
    std::size_t trespassers = 0;
    for (const std::thread::id t : others.all()) trespassers += t == mine ? 1 : 0;
    CHECK(trespassers == 0);
    CHECK(others.size() > 0);  // they did run
  });
}

TEST_CASE("pin: pins nest, and the last one to go frees the fiber", "[sched][unit][SC-23]") {
  test::run_with_procs([] {
    test::expectations e;
    weft::spawn([&] {
      const weft::thread_pin outer;
      const std::thread::id thread = test::thread_now();
      {
        const weft::thread_pin inner;
        weft::yield();
        e.that(test::thread_now() == thread, "inside both");
      }
      for (int i = 0; i < 50; ++i) {
        weft::spawn([&] {
          e.that(test::thread_now() != thread, "no other fiber while one pin is left");
        }).join();
        e.that(test::thread_now() == thread, "the outer pin still holds");
      }
    }).join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("pin: once the pin is gone the thread serves others again", "[sched][unit][SC-24]") {
  // Otherwise each round costs a thread.
  weft::run(
      [] {
        const auto rounds = [](int n) {
          for (int i = 0; i < n; ++i) {
            weft::spawn([] {
              const weft::thread_pin pin;
              weft::yield();
            }).join();
          }
        };
        rounds(20);
        const std::size_t threads = test::holdings::now().threads;
        rounds(200);
        CHECK(test::holdings::now().threads <= threads + 4);
      },
      weft::options{.procs = 2});
}

TEST_CASE("pin: a pinned fiber that yields with one processor lets others run",
          "[sched][unit][SC-08][SC-23]") {
  weft::run(
      [] {
        const weft::thread_pin pin;
        const std::thread::id mine = test::thread_now();
        std::atomic<bool> ran{false};
        weft::go([&] { ran = true; });
        test::until([&] { return ran.load(); }, "the other fiber has run");
        CHECK(test::thread_now() == mine);
      },
      weft::options{.procs = 1});
}

TEST_CASE("pin: pinned fibers talk to one another", "[sched][unit][SC-08][SC-23]") {
  test::run_with_procs([] {
    weft::chan<int> ping = weft::make_chan<int>();
    weft::chan<int> pong = weft::make_chan<int>();
    weft::join_handle<int> server = weft::spawn([=] {
      const weft::thread_pin pin;
      int sum = 0;
      for (const int i : ping) {
        sum += i;
        pong.send(i + 1);
      }
      return sum;
    });
    weft::join_handle<bool> client = weft::spawn([=] {
      const weft::thread_pin pin;
      bool right = true;
      for (int i = 0; i < 300; ++i) {
        ping.send(i);
        right = right && pong.recv() == i + 1;
      }
      ping.close();
      return right;
    });
    CHECK(client.join());
    CHECK(server.join() == 299 * 300 / 2);
  });
}

TEST_CASE("pin: two pinned fibers that poll with yield both go on", "[sched][unit][SC-08]") {
  test::run_with_procs([] {
    std::atomic<int> turn{0};
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 2; ++i) {
      fibers.push_back(weft::spawn([&turn, i] {
        const weft::thread_pin pin;
        for (int k = 0; k < 100; ++k) {
          while (turn % 2 != i) weft::yield();
          ++turn;
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(turn == 200);
  });
}

TEST_CASE("pin: fibers started by a pinned fiber are not pinned and run elsewhere",
          "[sched][unit][SC-25]") {
  test::run_with_procs([] {
    const weft::thread_pin pin;
    const std::thread::id mine = test::thread_now();
    test::notes<std::thread::id> where;
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 20; ++i) {
      fibers.push_back(weft::spawn([&] {
        where.add(test::thread_now());
        weft::yield();
        where.add(test::thread_now());
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    for (const std::thread::id t : where.all()) CHECK(t != mine);
    CHECK(where.size() == 40);
  });
}

TEST_CASE("pin: every way out of the fiber releases it", "[sched][unit][SC-24]") {
  test::run_with_procs([] {
    for (int i = 0; i < 30; ++i) {
      weft::spawn([] { const weft::thread_pin pin; }).join();
      CHECK_THROWS_AS(weft::spawn([] {
                        const weft::thread_pin outer;
                        const weft::thread_pin inner;
                        throw std::runtime_error("pinned");
                      }).join(),
                      std::runtime_error);
      CHECK_THROWS_AS(weft::spawn([] {
                        const weft::thread_pin pin;
                        weft::yield();
                        weft::exit_fiber();
                      }).join(),
                      std::system_error);
    }
    // All processors still work.
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 50; ++i) fibers.push_back(weft::spawn([] { weft::yield(); }));
    for (weft::join_handle<void>& f : fibers) f.join();
  });
}

TEST_CASE("pin: abandoned and unwound pinned fibers leave no thread", "[sched][os][SC-24][SC-36]") {
  for (const weft::exit_policy policy : {weft::exit_policy::abandon, weft::exit_policy::unwind}) {
    const test::holdings before = test::holdings::now();
    for (int round = 0; round < 5; ++round) {
      weft::options o;
      o.procs = 2;
      o.on_exit = policy;
      weft::run(
          [] {
            for (int i = 0; i < 3; ++i) {
              weft::go([] {
                const weft::thread_pin pin;
                (void)weft::chan<int>().recv();
              });
            }
            test::until_blocked(3, "chan receive (nil chan)");
          },
          o);
    }
    CHECK(test::eventually([&] { return test::holdings::now().threads <= before.threads; }));
  }
}

TEST_CASE("pin: main may be pinned", "[sched][unit][SC-23]") {
  test::run_with_procs([] {
    const weft::thread_pin pin;
    const std::thread::id mine = test::thread_now();
    weft::chan<int> ch = weft::make_chan<int>();
    weft::go([ch] {
      for (int i = 0; i < 20; ++i) {
        weft::yield();
        ch.send(i);
      }
    });
    for (int i = 0; i < 20; ++i) {
      REQUIRE(ch.recv() == std::optional<int>(i));
      REQUIRE(test::thread_now() == mine);
    }
  });
}

TEST_CASE("pin: a pinned hog loses its processor and keeps its thread",
          "[sched][os][SC-23][SC-11]") {
  weft::run(
      [] {
        std::atomic<bool> others_run{false};
        weft::go([&] { others_run = true; });  // into the queue, behind the hog in run_next
        weft::join_handle<bool> hog = weft::spawn([&] {
          const weft::thread_pin pin;
          const std::thread::id mine = test::thread_now();
          const bool set = test::spin_until_set(others_run);
          weft::yield();
          return set && test::thread_now() == mine;
        });
        CHECK(hog.join());
      },
      weft::options{.procs = 1});
}
