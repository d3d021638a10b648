// The reader-writer mutex: who excludes whom, who goes first, misuse, and its end.
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <system_error>
#include <type_traits>
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

constexpr auto reading = "sync.RWMutex.RLock";
constexpr auto writing = "sync.RWMutex.Lock";

}  // namespace

TEST_CASE("rw_mutex: any number of readers, or one writer", "[sync][unit][SY-01][SY-12][SY-14]") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<weft::rw_mutex>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<weft::rw_mutex>);
  weft::rw_mutex m;
  m.lock_shared();
  CHECK(m.try_lock_shared());
  CHECK_FALSE(m.try_lock());
  m.unlock_shared();
  CHECK_FALSE(m.try_lock());
  m.unlock_shared();
  CHECK(m.try_lock());
  CHECK_FALSE(m.try_lock());
  CHECK_FALSE(m.try_lock_shared());
  m.unlock();
  CHECK(m.try_lock_shared());
  m.unlock_shared();
}

TEST_CASE("rw_mutex: a writer that waits keeps later readers out until it has had the lock",
          "[sync][unit][SY-13][SY-14][SY-17][SY-47]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::rw_mutex m;
      test::notes<int> order;
      m.lock_shared();
      task writer(k, [&] {
        m.lock();
        order.add(1);
        m.unlock();
      });
      writer.until_blocked(writing);
      CHECK_FALSE(m.try_lock_shared());
      CHECK_FALSE(m.try_lock());
      task reader(k, [&] {
        m.lock_shared();
        order.add(2);
        m.unlock_shared();
      });
      reader.until_blocked(reading);
      m.unlock_shared();
      writer.join();
      reader.join();
      CHECK(order.all() == std::vector{1, 2});
      CHECK(m.try_lock());
      m.unlock();
    });
  }
}

TEST_CASE("rw_mutex: after a write all readers that came meanwhile go before the next writer",
          "[sync][unit][SY-15]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::rw_mutex m;
      test::tally readers_in;
      std::atomic<bool> leave{false};
      m.lock();
      task first(k, [&] {
        m.lock();
        m.unlock();
      });
      first.until_blocked(writing);
      std::vector<task> readers;
      for (int i = 0; i < 4; ++i) {
        readers.emplace_back(kind::fiber, [&] {
          m.lock_shared();
          readers_in.add();
          while (!leave) weft::yield();
          m.unlock_shared();
        });
        readers.back().until_blocked(reading);
      }
      m.unlock();
      test::until([&] { return readers_in.count() == 4; }, "all readers are in at once");
      CHECK_FALSE(first.is_done());
      leave = true;
      test::join(readers);
      first.join();
    });
  }
}

TEST_CASE("rw_mutex: unlocking what is not locked so throws, and it stays usable",
          "[sync][unit][SY-16]") {
  const auto runlock = "sync: RUnlock of unlocked RWMutex";
  const auto unlock = "sync: Unlock of unlocked RWMutex";
  weft::rw_mutex m;
  const auto says = [](auto call) { return test::thrown_by<weft::usage_error>(call); };
  CHECK(test::contains(says([&] { m.unlock_shared(); }), runlock));
  CHECK(test::contains(says([&] { m.unlock(); }), unlock));
  m.lock_shared();
  CHECK(test::contains(says([&] { m.unlock(); }), unlock));
  m.unlock_shared();
  m.lock();
  CHECK(test::contains(says([&] { m.unlock_shared(); }), runlock));
  m.unlock();
  CHECK(test::contains(says([&] { m.unlock_shared(); }), runlock));
  CHECK(m.try_lock());
  m.unlock();
}

TEST_CASE("rw_mutex: reading again blocks once a writer has come in between",
          "[sync][unit][SY-13][SY-17]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::rw_mutex m;
      std::atomic<bool> has_read{false};
      std::atomic<bool> writer_waits{false};
      task reader(k, [&] {
        m.lock_shared();
        has_read = true;
        while (!writer_waits) test::relax();
        m.lock_shared();
        m.unlock_shared();
      });
      test::until([&] { return has_read.load(); }, "the reader has it");
      task writer(kind::fiber, [&] {
        m.lock();
        m.unlock();
      });
      writer.until_blocked(writing);
      writer_waits = true;
      reader.until_blocked(reading);
      m.unlock_shared();  // by somebody else, so that the test can end
      writer.join();
      reader.join();
    });
  }
}

TEST_CASE("rw_mutex: taking it to write while reading blocks", "[sync][unit][SY-17]") {
  test::run_with_procs([] {
    weft::rw_mutex m;
    task upgrade(kind::fiber, [&] {
      m.lock_shared();
      m.lock();
    });
    upgrade.until_blocked(writing);
    m.unlock_shared();  // by somebody else, so that the test can end
    upgrade.join();
  });
}

TEST_CASE("rw_mutex I1: a writer overlaps nobody, readers only one another",
          "[sync][unit][SY-12][SY-18][SY-19]") {
  for (const bool mixed : {false, true}) {
    test::run_with_procs([mixed] {
      weft::rw_mutex m;
      int counter = 0;
      std::atomic<int> readers{0};
      std::atomic<int> writers{0};
      test::expectations expect;
      std::vector<task> tasks;
      for (int i = 0; i < 10; ++i) {
        tasks.emplace_back(mixed && i % 2 == 1 ? kind::thread : kind::fiber, [&, i] {
          for (int n = 0; n < 500; ++n) {
            if ((i + n) % 4 == 0) {
              const std::unique_lock held(m);
              expect.that(++writers == 1 && readers == 0, "a writer is alone");
              ++counter;
              --writers;
            } else {
              const std::shared_lock held(m);
              ++readers;
              expect.that(writers == 0, "no writer with a reader");
              expect.that(counter <= 10 * 125, "what was written before is visible");
              if (n % 32 == 0) test::relax();
              --readers;
            }
          }
        });
      }
      test::join(tasks);
      CHECK(counter == 10 * 125);
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("rw_mutex: a writer that gives up lets the readers behind it in", "[sync][unit][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::rw_mutex m;
      test::expectations expect;
      auto [ctx, cancel] = weft::with_cancel(weft::context());
      m.lock_shared();
      task writer(k, [&, c = ctx] {
        std::error_code ec;
        expect.that(!m.lock(c, ec), "cancelled");
        expect.that(ec == weft::errc::canceled, "with the context's error");
      });
      writer.until_blocked(writing);
      task reader(k, [&] {
        m.lock_shared();
        m.unlock_shared();
      });
      reader.until_blocked(reading);
      cancel();
      writer.join();
      reader.join();  // though the first reader is still in
      m.unlock_shared();
      std::error_code ec;
      CHECK_FALSE(m.lock_shared(ctx, ec));
      CHECK(ec == weft::errc::canceled);
      CHECK_THROWS_AS(m.lock(ctx), std::system_error);
      CHECK(m.lock(weft::context(), ec));
      task late(k, [&, c = ctx] {
        expect.that(!m.try_lock_shared_for(1ms), "a writer has it");
        expect.that(!m.try_lock_for(1ms), "a writer has it");
        expect.that(!m.try_lock_until(weft::clock::now() + 1ms), "a writer has it");
      });
      late.join();
      m.unlock();
      CHECK(m.try_lock_for(1h));
      m.unlock();
      CHECK(m.try_lock_shared_for(1h));
      m.unlock_shared();
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("rw_mutex I2: no wake-up is lost to waiters that give up",
          "[sync][stress][SY-48][SY-49]") {
  test::run_with_procs([] {
    weft::rw_mutex m;
    int counter = 0;
    test::tally wrote;
    std::vector<task> tasks;
    for (unsigned i = 0; i < 10; ++i) {
      tasks.emplace_back(i % 4 == 3 ? kind::thread : kind::fiber, [&, i] {
        test::random random(test::seed(), i);
        for (int n = 0; n < 1000; ++n) {
          const auto time = std::chrono::microseconds(random.below(40));
          const bool writes = random.below(3) == 0;
          bool owns = true;
          if (random.below(2) == 0) {
            owns = writes ? m.try_lock_for(time) : m.try_lock_shared_for(time);
          } else if (writes) {
            m.lock();
          } else {
            m.lock_shared();
          }
          if (!owns) continue;
          if (writes) {
            ++counter;
            wrote.add();
            m.unlock();
          } else {
            m.unlock_shared();
          }
        }
      });
    }
    test::join(tasks);
    CHECK(counter == wrote.count());
    CHECK(m.try_lock());
    m.unlock();
  });
}

TEST_CASE("rw_mutex I3: it may be destroyed as soon as the last lock has come to its end",
          "[sync][stress][SY-50]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      for (int i = 0; i < 200; ++i) {
        auto m = std::make_unique<weft::rw_mutex>();
        std::atomic<bool> has_it{false};
        task other(k, [&has_it, p = m.get(), reads = i % 2 == 0] {
          if (reads) {
            p->lock_shared();
            has_it = true;
            p->unlock_shared();
          } else {
            p->lock();
            has_it = true;
            p->unlock();
          }
        });
        test::until([&] { return has_it.load(); }, "the other has locked it");
        if (i % 3 == 0 && m->try_lock_for(10us)) m->unlock();
        m->lock();
        m->unlock();
        m.reset();
        other.join();
      }
    });
  }
}
