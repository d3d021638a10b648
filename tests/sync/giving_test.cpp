// What holds for all primitives: who gives never waits, and what is given reaches who still waits.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

using test::kind;
using test::task;

namespace {

// Runs `give` while two fibers wait by `wait`, on one processor: another fiber that would run at
// any switch does not. `times`: so often it has to run until both go on.
template <class Wait, class Give>
void expect_no_switch(const std::string& what, Wait wait, Give give, int times = 1) {
  INFO(what);
  std::vector<task> waiters;
  for (int i = 0; i < 2; ++i) {
    waiters.emplace_back(kind::fiber, wait);
    waiters.back().until_blocked();
  }
  std::atomic<bool> stop{false};
  long turns = 0;
  task other(kind::fiber, [&] {
    while (!stop) {
      ++turns;
      weft::yield();
    }
  });
  test::until([&] { return turns > 0; }, "another fiber runs whenever it can");
  const long before = turns;
  give();
  CHECK(turns == before);
  stop = true;
  other.join();
  for (int i = 1; i < times; ++i) give();
  test::join(waiters);
}

}  // namespace

TEST_CASE("sync: who unlocks, signals, counts down, gives back or tries never parks",
          "[sync][unit][SY-51]") {
  weft::run(
      [] {
        weft::mutex m;
        m.lock();
        expect_no_switch(
            "mutex: unlock",
            [&] {
              m.lock();
              m.unlock();
            },
            [&] {
              m.unlock();
              CHECK(m.try_lock());
              CHECK_FALSE(m.try_lock());
              m.unlock();
            });
        weft::rw_mutex rw;
        rw.lock();
        expect_no_switch(
            "rw_mutex: unlock",
            [&] {
              rw.lock_shared();
              rw.unlock_shared();
            },
            [&] {
              CHECK_FALSE(rw.try_lock_shared());
              rw.unlock();
              CHECK(rw.try_lock_shared());
              CHECK_FALSE(rw.try_lock());
              rw.unlock_shared();
            });
        weft::mutex held;
        weft::cond c;
        const auto wait = [&] {
          const std::lock_guard lock(held);
          c.wait(held);
        };
        expect_no_switch("cond: signal", wait, [&] { c.signal(); }, 2);
        expect_no_switch("cond: broadcast", wait, [&] { c.broadcast(); });
        weft::wait_group wg;
        wg.add(1);
        expect_no_switch("wait_group: done", [&] { wg.wait(); }, [&] { wg.done(); });
        weft::latch l(1);
        expect_no_switch("latch: count_down", [&] { l.wait(); }, [&] { l.count_down(); });
        weft::semaphore s(2);
        s.acquire(2);
        expect_no_switch(
            "semaphore: release", [&] { s.acquire(); },
            [&] {
              CHECK_FALSE(s.try_acquire());
              s.release(1);
            },
            2);
        s.release(2);
        weft::barrier b(3);
        expect_no_switch(
            "barrier: arrive_and_drop", [&] { b.arrive_and_wait(); }, [&] { b.arrive_and_drop(); });
      },
      weft::options{.procs = 1, .seed = 9});
}

TEST_CASE("cond: of 1000 waiters half give up, and each signal ends one that still waits",
          "[sync][stress][SY-37][SY-48][SY-49]") {
  test::run_with_procs([] {
    weft::mutex m;
    weft::cond c;
    auto [ctx, cancel] = weft::with_cancel(weft::context());
    test::tally signalled;
    test::tally given_up;
    for (int i = 0; i < 1000; ++i) {
      weft::go([&, gives_up = i % 2 == 0, limit = ctx] {
        const std::lock_guard held(m);
        std::error_code ec;
        const bool woken = c.wait(gives_up ? limit : weft::context(), m, ec);
        (woken ? signalled : given_up).add();
      });
    }
    test::until_blocked(1000, "sync.Cond.Wait");
    task canceller(kind::fiber, [&cancels = cancel] { cancels(); });
    for (int i = 0; i < 500; ++i) {
      c.signal();
      if (i % 16 == 0) weft::yield();
    }
    canceller.join();
    // Each signal has met one that waited; of the others those with a limit have left.
    const auto have_returned = [&] { return signalled.count() + given_up.count(); };
    test::until([&] { return signalled.count() == 500; }, "each signal has ended a wait");
    c.broadcast();
    test::until([&] { return have_returned() == 1000; }, "all have returned");
    CHECK(signalled.count() >= 500);
    CHECK(given_up.count() <= 500);
  });
}

TEST_CASE("semaphore: of 1000 waiters half give up, and each unit reaches one that still waits",
          "[sync][stress][SY-48][SY-49][EG-12]") {
  test::run_with_procs([] {
    weft::semaphore s(500);
    s.acquire(500);
    auto [ctx, cancel] = weft::with_cancel(weft::context());
    test::tally granted;
    test::tally granted_in_time;  // to one that would have given up
    test::tally given_up;
    for (int i = 0; i < 1000; ++i) {
      weft::go([&, gives_up = i % 2 == 0, limit = ctx] {
        std::error_code ec;
        if (!gives_up) {
          s.acquire();
          granted.add();
        } else {
          (s.acquire(limit, ec) ? granted_in_time : given_up).add();
        }
      });
    }
    test::until_blocked(1000, "semacquire");
    task canceller(kind::fiber, [&cancels = cancel] { cancels(); });
    for (int i = 0; i < 500; ++i) {
      s.release();
      if (i % 16 == 0) weft::yield();
    }
    canceller.join();
    test::until([&] { return granted_in_time.count() + given_up.count() == 500; },
                "who has a limit has returned");
    test::until([&] { return granted.count() + granted_in_time.count() == 500; },
                "each unit has an owner");
    for (long n = granted_in_time.count(); n != 0; --n) s.release();
    test::until([&] { return granted.count() == 500; }, "all have returned");
    CHECK_FALSE(s.try_acquire());
  });
}

TEST_CASE("sync: nothing of who waited when its run ended is touched afterwards",
          "[sync][unit][SY-46][SC-36]") {
  for (const auto policy : {weft::exit_policy::abandon, weft::exit_policy::unwind}) {
    for (const unsigned procs : {1U, 2U, 4U}) {
      weft::mutex m;
      weft::rw_mutex rw;
      weft::mutex held;
      weft::cond c;
      weft::wait_group wg;
      weft::semaphore s(2);
      weft::latch l(1);
      m.lock();
      rw.lock();
      wg.add(1);
      s.acquire(2);
      weft::run(
          [&] {
            for (int i = 0; i < 3; ++i) {
              weft::go([&] { m.lock(); });
              weft::go([&] { static_cast<void>(m.try_lock_for(std::chrono::hours(1))); });
              weft::go([&] { rw.lock(); });
              weft::go([&] { rw.lock_shared(); });
              weft::go([&] {
                std::unique_lock lock(held);
                c.wait(lock);
              });
              weft::go([&] { wg.wait(); });
              weft::go([&] { s.acquire(2); });
              weft::go([&] { l.wait(); });
            }
            test::until_blocked(24);
          },
          weft::options{.procs = procs, .on_exit = policy});
      // On a plain thread: each finds nobody, and is usable as before.
      m.unlock();
      CHECK(m.try_lock());
      m.unlock();
      rw.unlock();
      CHECK(rw.try_lock());
      rw.unlock();
      c.signal();
      c.broadcast();
      wg.done();
      wg.wait();
      s.release(2);
      CHECK(s.try_acquire(2));
      l.count_down();
      l.wait();
    }
  }
}
