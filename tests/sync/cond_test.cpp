// The condition variable: order, no signal lost, none invented.
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <system_error>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

using namespace std::chrono_literals;
using test::kind;
using test::task;

namespace {

constexpr auto waiting = "sync.Cond.Wait";

}  // namespace

TEST_CASE("cond: a signal wakes the one that has waited longest",
          "[sync][unit][SY-01][SY-34][SY-35][SY-37][SY-47]") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<weft::cond>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<weft::cond>);
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::mutex m;
      weft::cond c;
      test::notes<int> order;
      c.signal();  // not remembered
      std::vector<task> tasks;
      for (int i = 0; i < 5; ++i) {
        tasks.emplace_back(i % 2 == 0 ? k : kind::fiber, [&, i] {
          const std::lock_guard held(m);
          c.wait(m);
          order.add(i);
        });
        tasks.back().until_blocked(waiting);
      }
      for (int i = 0; i < 5; ++i) {
        c.signal();
        tasks[static_cast<std::size_t>(i)].join();
        CHECK(order.size() == static_cast<std::size_t>(i) + 1);
      }
      CHECK(order.all() == std::vector{0, 1, 2, 3, 4});
      c.signal();
      CHECK(m.try_lock());
      m.unlock();
    });
  }
}

TEST_CASE("cond: a broadcast wakes all that wait, and nobody who comes later",
          "[sync][unit][SY-36]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::rw_mutex m;  // any lock will do
      weft::cond c;
      std::vector<task> tasks;
      for (int i = 0; i < 6; ++i) {
        tasks.emplace_back(k, [&] {
          std::shared_lock lock(m);
          c.wait(lock);
        });
        tasks.back().until_blocked(waiting);
      }
      c.broadcast();
      test::join(tasks);
      task late(k, [&] {
        std::unique_lock lock(m);
        c.wait(lock);
      });
      late.until_blocked(waiting);
      c.broadcast();
      late.join();
    });
  }
}

TEST_CASE("cond: a wait without the lock is the lock's error", "[sync][unit][SY-38]") {
  test::run_with_procs([] {
    weft::mutex m;
    weft::cond c;
    CHECK(test::contains(test::thrown_by<weft::usage_error>([&] { c.wait(m); }),
                         "sync: unlock of unlocked mutex"));
    // It left nothing in the queue that would take a signal.
    task waiter(kind::fiber, [&] {
      const std::lock_guard held(m);
      c.wait(m);
    });
    waiter.until_blocked(waiting);
    c.signal();
    waiter.join();
  });
}

TEST_CASE("cond: a signal after the unlock and before the park is not lost",
          "[sync][unit][SY-34]") {
  test::run_with_procs([] {
    // Signals from inside the unlock itself, at the earliest moment there is.
    struct signalling_lock {
      weft::cond& c;
      void lock() {}
      void unlock() { c.signal(); }
    };
    weft::cond c;
    signalling_lock lock{c};
    c.wait(lock);
    CHECK(c.wait_for(lock, 1h) == std::cv_status::no_timeout);
  });
}

TEST_CASE("cond: waits with a condition come back when it holds", "[sync][unit][SY-34]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::mutex m;
      weft::cond c;
      int stage = 0;
      test::expectations expect;
      std::vector<task> tasks;
      tasks.emplace_back(k, [&] {
        std::unique_lock lock(m);
        c.wait(lock, [&] { return stage == 2; });
        expect.that(lock.owns_lock() && stage == 2, "the lock is held");
      });
      tasks.back().until_blocked(waiting);
      tasks.emplace_back(k, [&] {
        std::unique_lock lock(m);
        expect.that(c.wait_for(lock, 1h, [&] { return stage == 2; }), "in time");
      });
      tasks.back().until_blocked(waiting);
      for (int i = 1; i <= 2; ++i) {
        {
          const std::lock_guard held(m);
          stage = i;
        }
        c.broadcast();
        if (i == 1) {
          for (task& t : tasks) t.until_blocked(waiting);
        }
      }
      test::join(tasks);
      std::unique_lock lock(m);
      CHECK_FALSE(c.wait_for(lock, 1ms, [] { return false; }));
      CHECK(c.wait_for(lock, -1ms, [] { return true; }));
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("cond: a timed wait returns in time, with the lock", "[sync][os][SY-34][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::mutex m;
      weft::cond c;
      test::expectations expect;
      task late(k, [&] {
        std::unique_lock lock(m);
        const auto start = weft::clock::now();
        expect.that(c.wait_for(lock, 5ms) == std::cv_status::timeout, "nobody signals");
        expect.that(weft::clock::now() - start >= 5ms, "5 ms have passed");
        expect.that(lock.owns_lock() && !m.try_lock(), "the lock is held");
        expect.that(c.wait_until(lock, weft::clock::now()) == std::cv_status::timeout, "now");
        expect.that(
            c.wait_until(lock, std::chrono::system_clock::now() + 1ms) == std::cv_status::timeout,
            "another clock");
      });
      late.join();
      // Nobody is left in the queue to take this signal.
      task waiter(k, [&] {
        const std::lock_guard held(m);
        c.wait(m);
      });
      waiter.until_blocked(waiting);
      c.signal();
      waiter.join();
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("cond: a wait with a context ends when the context is done, with the lock",
          "[sync][unit][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::mutex m;
      weft::cond c;
      test::expectations expect;
      auto [ctx, cancel] = weft::with_cancel(weft::context());
      task waiter(k, [&, x = ctx] {
        std::unique_lock lock(m);
        std::error_code ec;
        expect.that(!c.wait(x, lock, ec), "cancelled");
        expect.that(ec == weft::errc::canceled, "with the context's error");
        expect.that(!m.try_lock(), "the lock is held");
        try {
          c.wait(x, lock);
          expect.that(false, "throws");
        } catch (const std::system_error& e) {
          expect.that(e.code() == weft::errc::canceled, "with the context's error");
        }
      });
      waiter.until_blocked(waiting);
      task behind(k, [&] {
        const std::lock_guard held(m);
        c.wait(m);
      });
      behind.until_blocked(waiting);
      cancel();
      waiter.join();
      CHECK_FALSE(behind.is_done());
      c.signal();
      behind.join();
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("cond I1: no signal is lost to waits that end by their limit, and none counts twice",
          "[sync][stress][SY-34][SY-37][SY-49]") {
  test::run_with_procs([] {
    weft::mutex m;
    weft::cond c;
    long items = 0;
    bool is_over = false;
    test::tally taken;
    std::vector<task> takers;
    for (unsigned i = 0; i < 6; ++i) {
      takers.emplace_back(i % 3 == 2 ? kind::thread : kind::fiber, [&, i] {
        test::random random(test::seed(), i);
        std::unique_lock lock(m);
        for (;;) {
          while (items == 0 && !is_over) {
            if (random.below(2) == 0) {
              static_cast<void>(c.wait_for(lock, std::chrono::microseconds(random.below(60))));
            } else {
              c.wait(lock);
            }
          }
          if (items == 0) return;
          --items;
          taken.add();
        }
      });
    }
    std::vector<task> givers;
    for (int i = 0; i < 3; ++i) {
      givers.emplace_back(i == 2 ? kind::thread : kind::fiber, [&] {
        for (int n = 0; n < 1000; ++n) {
          {
            const std::lock_guard held(m);
            ++items;
          }
          c.signal();
        }
      });
    }
    test::join(givers);
    {
      const std::lock_guard held(m);
      is_over = true;
    }
    c.broadcast();
    test::join(takers);
    CHECK(taken.count() == 3000);
    CHECK(items == 0);
  });
}

TEST_CASE("cond: it may be destroyed as soon as the last wait has returned",
          "[sync][stress][SY-37][SY-50]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      for (int i = 0; i < 200; ++i) {
        weft::mutex m;
        auto c = std::make_unique<weft::cond>();
        std::unique_lock lock(m);
        task giver(k, [&m, p = c.get(), all = i % 2 == 0] {
          {
            const std::lock_guard waits(m);
          }  // until the other waits
          all ? p->broadcast() : p->signal();  // its last steps run while the other side goes on
        });
        c->wait(lock);
        c.reset();
        lock.unlock();
        giver.join();
      }
    });
  }
}

TEST_CASE("cond: a wait that is unwound has the lock again, for the destructors above it",
          "[sync][unit][SY-34][SC-03]") {
  for (const bool is_contended : {false, true}) {
    weft::mutex m;
    weft::cond c;
    int unwound = 0;  // guarded by m
    weft::run(
        [&] {
          for (int i = 0; i < 3; ++i) {
            weft::go([&] {
              struct count {
                int& n;
                ~count() { ++n; }
              };
              const std::lock_guard held(m);
              const count at_end{unwound};
              c.wait(m);
            });
          }
          test::until_blocked(3, waiting);
          if (!is_contended) return;
          weft::go([&] {
            const std::lock_guard held(m);
            c.broadcast();
            static_cast<void>(weft::chan<int>().recv());
          });
          test::until_blocked(3, "sync.Mutex.Lock");
        },
        weft::options{.procs = 2, .on_exit = weft::exit_policy::unwind});
    CHECK(unwound == 3);
    CHECK(m.try_lock());
    m.unlock();
  }
}

TEST_CASE("cond: a deadlock's error leaves a wait with the lock held", "[sync][unit][SY-34]") {
  weft::mutex m;
  weft::cond c;
  weft::options options{.procs = 1};
  options.on_deadlock = weft::deadlock_policy::throw_in_main;
  options.seed = 5;
  CHECK_THROWS_AS(weft::run(
                      [&] {
                        const std::lock_guard held(m);
                        c.wait(m);
                      },
                      options),
                  weft::deadlock_error);
  CHECK(m.try_lock());
  m.unlock();
}
