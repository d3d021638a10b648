// The mutex: exclusion, its two modes, waits that give up, and its end.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

using namespace std::chrono_literals;
using test::kind;
using test::task;

namespace {

constexpr auto locking = "sync.Mutex.Lock";

// One processor, the same order of events each time, and a clock that moves only in sleeps.
template <class F>
void run_in_order(F body) {
  weft::run(body, weft::options{.procs = 1, .seed = 7});
}

template <class T>
constexpr bool is_pinned_down = !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> &&
                                !std::is_move_constructible_v<T> && !std::is_move_assignable_v<T>;

}  // namespace

TEST_CASE("sync: no primitive can be copied or moved", "[sync][unit][SY-01]") {
  STATIC_REQUIRE(is_pinned_down<weft::mutex>);
  STATIC_REQUIRE(is_pinned_down<weft::wait_group>);
  STATIC_REQUIRE(is_pinned_down<weft::once>);
  STATIC_REQUIRE(is_pinned_down<weft::semaphore>);
}

TEST_CASE("mutex: a new one is unlocked", "[sync][unit][SY-01][SY-03]") {
  weft::mutex m;
  CHECK(m.try_lock());
  CHECK_FALSE(m.try_lock());
  m.unlock();
  CHECK(m.try_lock());
  m.unlock();
}

TEST_CASE("mutex I1: ten fibers and plain threads never overlap in it",
          "[sync][unit][SY-02][SY-10][SY-18][SY-47]") {
  for (const bool mixed : {false, true}) {
    test::run_with_procs([mixed] {
      weft::mutex m;
      int counter = 0;
      std::vector<task> tasks;
      for (int i = 0; i < 10; ++i) {
        tasks.emplace_back(mixed && i % 2 == 1 ? kind::thread : kind::fiber, [&] {
          for (int n = 0; n < 1000; ++n) {
            const std::lock_guard held(m);
            const int seen = counter;
            if (n % 64 == 0) test::relax();
            counter = seen + 1;
          }
        });
      }
      test::join(tasks);
      CHECK(counter == 10'000);
      CHECK(m.try_lock());
      m.unlock();
    });
  }
}

TEST_CASE("mutex: a try that succeeds is a lock like any other", "[sync][unit][SY-03][SY-10]") {
  test::run_with_procs([] {
    weft::mutex m;
    int counter = 0;  // without an atomic: a data race shows under ThreadSanitizer
    std::vector<task> tasks;
    for (int i = 0; i < 4; ++i) {
      tasks.emplace_back(i == 3 ? kind::thread : kind::fiber, [&, i] {
        for (int n = 0; n < 500;) {
          if (i == 0) {
            m.lock();
          } else if (!m.try_lock()) {
            test::relax();
            continue;
          }
          ++counter;
          ++n;
          m.unlock();
        }
      });
    }
    test::join(tasks);
    CHECK(counter == 2'000);
  });
}

TEST_CASE("mutex: unlocking what is not locked throws, and the mutex stays usable",
          "[sync][unit][SY-04]") {
  test::run_with_procs([] {
    weft::mutex m;
    const auto unlock = [&m] { m.unlock(); };
    const char* const text = "sync: unlock of unlocked mutex";
    CHECK(test::contains(test::thrown_by<weft::usage_error>(unlock), text));
    m.lock();
    m.unlock();
    CHECK(test::contains(test::thrown_by<weft::usage_error>(unlock), text));
    CHECK(m.try_lock());
    task waiter(kind::fiber, [&] {
      m.lock();
      m.unlock();
    });
    waiter.until_blocked(locking);
    m.unlock();
    waiter.join();
    CHECK(test::contains(test::thrown_by<weft::usage_error>(unlock), text));
  });
}

TEST_CASE("mutex: it has no owner: another may unlock, and locking twice blocks",
          "[sync][unit][SY-05][SY-11]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("locker: " << test::name_of(k));
      weft::mutex m;
      task twice(k, [&] {
        m.lock();
        m.lock();
      });
      twice.until_blocked(locking);
      m.unlock();
      twice.join();
      m.unlock();
      CHECK(m.try_lock());
      m.unlock();
    });
  }
}

TEST_CASE("mutex: a lock that waits parks its fiber, and others run on", "[sync][unit][SY-11]") {
  weft::run(
      [] {
        weft::mutex m;
        m.lock();
        task waiter(kind::fiber, [&] { const std::lock_guard held(m); });
        waiter.until_blocked(locking);
        m.unlock();
        waiter.join();
      },
      weft::options{.procs = 1});
}

TEST_CASE("mutex: a waiter that loses against a newcomer waits at the front",
          "[sync][unit][SY-06][SY-51]") {
  run_in_order([] {
    weft::mutex m;
    std::vector<int> order;
    m.lock();
    std::vector<task> tasks;
    for (int i = 0; i < 3; ++i) {
      tasks.emplace_back(kind::fiber, [&, i] {
        const std::lock_guard held(m);
        order.push_back(i);
      });
      tasks.back().until_blocked(locking);
    }
    // Wakes the first, which can't run before the newcomer has the mutex again.
    m.unlock();
    REQUIRE(m.try_lock());
    for (int i = 0; i < 10; ++i) weft::yield();
    CHECK(order.empty());
    m.unlock();
    test::join(tasks);
    CHECK(order == std::vector{0, 1, 2});
  });
}

TEST_CASE("mutex: after a millisecond in vain it goes from owner to waiter, without being free",
          "[sync][unit][SY-03][SY-07]") {
  run_in_order([] {
    weft::mutex m;
    std::vector<int> order;
    const auto enter = [&](int i) {
      const std::lock_guard held(m);
      order.push_back(i);
    };
    m.lock();
    task first(kind::fiber, [&] { enter(1); });
    first.until_blocked(locking);
    weft::sleep_for(3ms);
    m.unlock();
    REQUIRE(m.try_lock());
    for (int i = 0; i < 10; ++i) weft::yield();  // the first one loses
    task second(kind::fiber, [&] { enter(2); });
    second.until_blocked(locking);
    m.unlock();
    // Handed over: no newcomer gets it, though the new owner has not run yet.
    CHECK(order.empty());
    CHECK_FALSE(m.try_lock());
    enter(3);
    first.join();
    second.join();
    CHECK(order == std::vector{1, 2, 3});
  });
}

TEST_CASE("mutex: starvation ends with the last waiter, or with one that did not wait long",
          "[sync][unit][SY-08]") {
  run_in_order([] {
    for (const bool followed : {false, true}) {
      INFO("another waits behind the starving one: " << followed);
      weft::mutex m;
      m.lock();
      task starving(kind::fiber, [&] { m.lock(); });
      starving.until_blocked(locking);
      weft::sleep_for(3ms);
      m.unlock();
      REQUIRE(m.try_lock());
      for (int i = 0; i < 10; ++i) weft::yield();
      std::vector<task> others;
      if (followed) {
        others.emplace_back(kind::fiber, [&] { m.lock(); });
        others.back().until_blocked(locking);
      }
      m.unlock();
      starving.join();
      if (followed) {
        m.unlock();
        CHECK_FALSE(m.try_lock());  // still handed over, to the one that came late
        others.back().join();
      }
      // In normal mode again: a newcomer wins against one that was woken.
      task next(kind::fiber, [&] { const std::lock_guard held(m); });
      next.until_blocked(locking);
      m.unlock();
      CHECK(m.try_lock());
      m.unlock();
      next.join();
    }
  });
}

TEST_CASE("mutex: a hog that locks in a tight loop does not keep others out", "[sync][os][SY-09]") {
  for (const unsigned procs : {1U, 2U}) {
    weft::run(
        [] {
          weft::mutex m;
          std::atomic<bool> stop{false};
          task hog(kind::fiber, [&] {
            while (!stop) {
              const std::lock_guard held(m);
              const auto end = std::chrono::steady_clock::now() + 100us;
              while (std::chrono::steady_clock::now() < end) {
              }
            }
          });
          const auto start = std::chrono::steady_clock::now();
          for (int i = 0; i < 10; ++i) {
            weft::sleep_for(100us);
            const std::lock_guard held(m);
          }
          CHECK(std::chrono::steady_clock::now() - start < 10s);
          stop = true;
          hog.join();
        },
        weft::options{.procs = procs});
  }
}

TEST_CASE("mutex: the standard's lock classes work with it", "[sync][unit][SY-18]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::mutex a;
      weft::mutex b;
      int counter = 0;
      test::tally given_up;
      std::vector<task> tasks;
      for (int i = 0; i < 4; ++i) {
        tasks.emplace_back(i % 2 == 0 ? kind::fiber : k, [&, i] {
          for (int n = 0; n < 100; ++n) {
            if (i < 2) {
              const std::scoped_lock held(a, b);
              ++counter;
            } else {
              const std::scoped_lock held(b, a);
              ++counter;
            }
            std::unique_lock lock(a, std::try_to_lock);
            if (!lock.owns_lock()) lock.lock();
            lock.unlock();
            std::unique_lock timed(b, 1h);
            if (!timed.owns_lock()) given_up.add();
          }
        });
      }
      test::join(tasks);
      CHECK(counter == 400);
      CHECK(given_up.count() == 0);
    });
  }
}

TEST_CASE("mutex: a timed lock gives up in time, and takes what is free", "[sync][os][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::mutex m;
      test::expectations expect;
      CHECK(m.try_lock_for(0ms));
      task late(k, [&] {
        const auto start = weft::clock::now();
        expect.that(!m.try_lock_for(5ms), "locked meanwhile");
        expect.that(weft::clock::now() - start >= 5ms, "5 ms have passed");
        expect.that(!m.try_lock_for(-1h), "a negative time does not wait");
        expect.that(!m.try_lock_until(weft::clock::now() + 1ms), "locked meanwhile");
        expect.that(!m.try_lock_until(std::chrono::system_clock::now() + 1ms), "another clock");
        expect.that(!m.try_lock_until(std::chrono::steady_clock::time_point::min()), "long past");
      });
      late.join();
      task patient(k, [&] {
        expect.that(m.try_lock_for(std::chrono::hours::max()), "gets it");
        m.unlock();
        expect.that(m.try_lock_until(weft::clock::time_point::max()), "gets it again");
        m.unlock();
      });
      patient.until_blocked(locking);
      m.unlock();
      patient.join();
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("mutex: a lock with a context ends when the context is done", "[sync][unit][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::mutex m;
      test::expectations expect;
      auto [ctx, cancel] = weft::with_cancel(weft::context());
      m.lock(ctx);
      std::error_code ec = weft::errc::closed;
      std::vector<task> tasks;
      for (int i = 0; i < 2; ++i) {
        tasks.emplace_back(k, [&, i, c = ctx] {
          if (i == 0) {
            expect.that(!m.lock(c, ec), "cancelled");
            return;
          }
          try {
            m.lock(c);
            expect.that(false, "throws");
          } catch (const std::system_error& e) {
            expect.that(e.code() == weft::errc::canceled, "with the context's error");
          }
        });
        tasks.back().until_blocked(locking);
      }
      task behind(k, [&] { const std::lock_guard held(m); });
      behind.until_blocked(locking);
      cancel();
      test::join(tasks);
      CHECK(ec == weft::errc::canceled);
      // Nobody is left in its way.
      m.unlock();
      behind.join();
      // Done before the call: not even a free mutex is taken.
      CHECK_FALSE(m.lock(ctx, ec));
      CHECK(ec == weft::errc::canceled);
      CHECK(m.lock(weft::context(), ec));
      CHECK_FALSE(ec);
      m.unlock();
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("mutex I2: no wake-up is lost to waiters that give up", "[sync][stress][SY-48][SY-49]") {
  test::run_with_procs([] {
    weft::mutex m;
    int counter = 0;
    test::tally locked;
    std::vector<task> tasks;
    for (unsigned i = 0; i < 12; ++i) {
      tasks.emplace_back(i % 4 == 3 ? kind::thread : kind::fiber, [&, i] {
        test::random random(test::seed(), i);
        for (int n = 0; n < 1000; ++n) {
          bool owns = true;
          switch (random.below(4)) {
            case 0:
              owns = m.try_lock_for(std::chrono::microseconds(random.below(40)));
              break;
            case 1: {
              const auto time = std::chrono::microseconds(random.below(40));
              auto [ctx, cancel] = weft::with_timeout(weft::context(), time);
              std::error_code ec;
              owns = m.lock(ctx, ec);
              break;
            }
            default:
              m.lock();
          }
          if (!owns) continue;
          ++counter;
          locked.add();
          m.unlock();
        }
      });
    }
    test::join(tasks);
    CHECK(counter == locked.count());
    CHECK(m.try_lock());
    m.unlock();
  });
}

TEST_CASE("mutex: of 1000 waiters half give up while the others are woken", "[sync][unit][SY-49]") {
  test::run_with_procs([] {
    weft::mutex m;
    auto [ctx, cancel] = weft::with_cancel(weft::context());
    test::tally locked;
    test::tally given_up;
    m.lock();
    for (int i = 0; i < 1000; ++i) {
      weft::go([&, gives_up = i % 2 == 0, c = ctx] {
        std::error_code ec;
        if (!gives_up) {
          m.lock();
        } else if (!m.lock(c, ec)) {
          given_up.add();
          return;
        }
        locked.add();
        m.unlock();
      });
    }
    test::until_blocked(1000, locking);
    task canceller(kind::fiber, [&c = cancel] { c(); });
    m.unlock();
    test::until([&] { return locked.count() + given_up.count() == 1000; }, "all have returned");
    CHECK(locked.count() >= 500);
    canceller.join();
    CHECK(m.try_lock());
    m.unlock();
  });
}

TEST_CASE("mutex I3: it may be destroyed as soon as the last lock has come to its end",
          "[sync][stress][SY-50]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      for (int i = 0; i < 200; ++i) {
        auto m = std::make_unique<weft::mutex>();
        std::atomic<bool> has_it{false};
        task other(k, [&has_it, mutex = m.get(), timed = i % 2 == 0] {
          mutex->lock();
          has_it = true;
          if (timed) static_cast<void>(mutex->try_lock_for(10us));
          mutex->unlock();  // its last steps run while the other side destroys the mutex
        });
        test::until([&] { return has_it.load(); }, "the other has locked it");
        m->lock();
        m->unlock();
        m.reset();
        other.join();
      }
    });
  }
}
