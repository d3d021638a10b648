// What a build with WEFT_CHECK_LOCKS tells of the misuse of locks, and that it tells nothing else.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "reports/golden.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

using namespace std::chrono_literals;
using test::kind;
using test::task;

namespace {

template <class F>
test::child_end run_in_child(F main, weft::options options = {.procs = 1}) {
  return test::in_child([=] { weft::run(main, options); });
}

template <class F>
std::size_t reports_of(F main, unsigned procs = 1) {
  const test::child_end end = run_in_child(main, {.procs = procs});
  INFO(end.err);
  CHECK(end.status == 0);
  return test::count_of(end.err, "weft: ");
}

void in_order(weft::mutex& first, weft::mutex& second) {
  const std::lock_guard one(first);
  const std::lock_guard two(second);
}

}  // namespace

TEST_CASE("lock check: its names differ, so that mixed objects do not link", "[sync][unit]") {
  static constinit weft::v0_checked::mutex m;
  CHECK(m.try_lock());
  m.unlock();
  static constinit weft::v0_checked::rw_mutex rw;
  CHECK(rw.try_lock_shared());
  rw.unlock_shared();
}

TEST_CASE("lock check: a lock that is taken twice is told with both places, before it blocks",
          "[sync][unit][SY-52]") {
  const test::child_end end = run_in_child([] {
    weft::mutex m;
    task twice(kind::fiber, [&] {
      m.lock();
      m.lock();
    });
    twice.until_blocked("sync.Mutex.Lock");
    m.unlock();
    twice.join();
    m.unlock();
  });
  CHECK(end.status == 0);
  test::check_golden("recursion", end.err);
}

TEST_CASE("lock check: locks taken in two orders are told with the stacks of both",
          "[sync][unit][SY-52]") {
  const test::child_end end = run_in_child([] {
    weft::mutex a;
    weft::mutex b;
    weft::spawn([&] { in_order(a, b); }).join();
    weft::spawn([&] { in_order(b, a); }).join();  // nobody waits: the order alone is told
  });
  CHECK(end.status == 0);
  test::check_golden("inversion", end.err);
}

TEST_CASE("lock check: a ring of three orders is told with each of its steps",
          "[sync][unit][SY-52]") {
  const test::child_end end = run_in_child([] {
    weft::mutex a;
    weft::rw_mutex b;
    weft::mutex c;
    {
      const std::lock_guard one(a);
      const std::shared_lock two(b);
    }
    {
      const std::lock_guard one(b);
      const std::lock_guard two(c);
    }
    const std::lock_guard one(c);
    const std::lock_guard two(a);
  });
  CHECK(end.status == 0);
  test::check_golden("ring", end.err);
}

TEST_CASE("lock check: a lock that dies while it is held is told with who took it",
          "[sync][unit][SY-46]") {
  const test::child_end end = run_in_child([] {
    auto m = std::make_unique<weft::mutex>();
    weft::spawn([&] { m->lock(); }).join();
    m.reset();
    auto rw = std::make_unique<weft::rw_mutex>();
    rw->lock_shared();
    rw.reset();
  });
  CHECK(end.status == 0);
  test::check_golden("held", end.err);
}

TEST_CASE("lock check: a primitive that dies while tasks wait for it ends the process",
          "[sync][unit][SY-46]") {
  // On one thread, so that the misuse is one thing and no data race as well.
  const weft::options seeded{.seed = 1};
  const auto mutex_dies = [] {
    auto m = std::make_unique<weft::mutex>();
    m->lock();
    weft::go([&] { m->lock(); });
    test::until_blocked(1, "sync.Mutex.Lock");
    m.reset();
  };
  const test::child_end end = run_in_child(mutex_dies, seeded);
  CHECK(end.status == 2);
  test::check_golden("waited_for", end.err);
  const auto dies = [&](auto make, auto wait) {
    const auto main = [=] {
      auto p = make();
      weft::go([&] { wait(*p); });
      test::until_blocked(1);
      p.reset();
    };
    const test::child_end e = run_in_child(main, seeded);
    INFO(e.err);
    CHECK(e.status == 2);
    CHECK(test::contains(e.err, "is destroyed while tasks wait for it"));
  };
  dies(
      [] {
        auto m = std::make_unique<weft::rw_mutex>();
        m->lock();
        return m;
      },
      [](auto& m) { m.lock_shared(); });
  dies([] { return std::make_unique<weft::cond>(); },
       [](auto& c) {
         weft::mutex m;
         m.lock();
         c.wait(m);
       });
  dies([] { return std::make_unique<weft::semaphore>(1); },
       [](auto& s) {
         s.acquire();
         s.acquire();
       });
  dies(
      [] {
        auto wg = std::make_unique<weft::wait_group>();
        wg->add(1);
        return wg;
      },
      [](auto& wg) { wg.wait(); });
  dies([] { return std::make_unique<weft::latch>(1); }, [](auto& l) { l.wait(); });
  dies([] { return std::make_unique<weft::barrier>(2); }, [](auto& b) { b.arrive_and_wait(); });
  dies([] { return std::make_unique<weft::once>(); },
       [](auto& o) { o.call([&] { o.call([] {}); }); });
}

TEST_CASE("lock check: WEFT_CHECK=abort ends the process at the first report",
          "[sync][unit][SY-52]") {
  const test::child_end end = test::in_child([] {
    ::setenv("WEFT_CHECK", "abort", 1);
    weft::run([] {
      weft::rw_mutex m;
      m.lock_shared();
      m.lock_shared();
    });
  });
  CHECK(end.signal == SIGABRT);
  CHECK(test::contains(end.err, "is locked again by a reader of it"));
}

TEST_CASE("lock check: each misuse is told once", "[sync][unit][SY-52]") {
  CHECK(reports_of([] {
          for (int i = 0; i < 10; ++i) {
            weft::mutex a;
            weft::mutex b;
            in_order(a, b);
            in_order(b, a);
          }
        }) == 1);
  // A context ends no order; plain threads have one as well.
  CHECK(reports_of([] {
          auto [ctx, cancel] = weft::with_cancel({});
          weft::mutex a;
          weft::mutex b;
          std::thread([&] { in_order(a, b); }).join();
          b.lock(ctx);
          a.lock(ctx);
          a.unlock();
          b.unlock();
        }) == 1);
}

TEST_CASE("lock check: what is right is not told", "[sync][unit][SY-46][SY-52]") {
  for (const unsigned procs : {1U, 2U, 4U}) {
    // Tries and limits of time do not wait for ever, and one task alone may unlock for another.
    CHECK(reports_of(
              [] {
                weft::mutex a;
                weft::mutex b;
                in_order(a, b);
                {
                  const std::lock_guard one(b);
                  const std::unique_lock two(a, std::try_to_lock);
                  const bool three = a.try_lock_for(1us);
                  if (three) a.unlock();
                }
                for (int i = 0; i < 100; ++i) {
                  const std::scoped_lock both(a, b);
                }
                a.lock();
                weft::spawn([&] { a.unlock(); }).join();
                a.lock();
                a.unlock();
              },
              procs) == 0);
    // Locks that others wait for, die right after their last use, or belong to what is unwound.
    CHECK(reports_of(
              [] {
                std::vector<task> tasks;
                weft::mutex shared;
                weft::rw_mutex rw;
                int turns = 0;
                for (int i = 0; i < 8; ++i) {
                  tasks.emplace_back(i % 2 == 0 ? kind::fiber : kind::thread, [&, i] {
                    for (int n = 0; n < 50; ++n) {
                      {
                        const std::scoped_lock both(shared, rw);
                        ++turns;
                      }
                      const std::shared_lock reads(rw);
                      weft::mutex own;
                      weft::cond changed;
                      std::unique_lock held(own);
                      if (i % 2 == 0) weft::yield();
                      static_cast<void>(changed.wait_for(held, 1us));
                    }
                  });
                }
                test::join(tasks);
                if (turns != 400) std::_Exit(3);
              },
              procs) == 0);
  }
}

TEST_CASE("lock check: locks that fibers hold and wait for at the end of a run are not told",
          "[sync][unit][SY-46][SC-36]") {
  for (const auto policy : {weft::exit_policy::abandon, weft::exit_policy::unwind}) {
    for (const unsigned procs : {1U, 4U}) {
      const test::child_end end = test::in_child([=] {
        weft::mutex m;
        weft::cond never;
        weft::run(
            [&] {
              weft::go([&] {
                m.lock();
                static_cast<void>(weft::chan<int>().recv());
              });
              test::until_blocked(1);  // the others find it locked
              for (int i = 0; i < 5; ++i) {
                weft::go([&, i] {
                  if (i < 3) {
                    const std::lock_guard held(m);
                  } else {
                    weft::mutex own;
                    const std::lock_guard held(own);
                    never.wait(own);
                  }
                });
              }
              test::until_blocked(6);
            },
            weft::options{.procs = procs, .on_exit = policy});
        m.unlock();  // what waited for it is gone
        m.lock();
        never.broadcast();
        m.unlock();
      });
      INFO(end.err);
      CHECK(end.status == 0);
      CHECK(end.err.empty());
    }
  }
}
