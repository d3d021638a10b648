// The semaphore: weights, order, waits that give up, misuse, and its end.
#include <chrono>
#include <cstddef>
#include <memory>
#include <system_error>
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

constexpr auto acquiring = "semacquire";

}  // namespace

TEST_CASE("semaphore: acquire takes units, and waits in order for what is not free",
          "[sync][unit][EG-09][SY-47]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::semaphore s(3);
      test::notes<int> order;
      s.acquire(2);
      s.acquire();
      std::vector<task> tasks;
      for (int i = 0; i < 4; ++i) {
        tasks.emplace_back(i % 2 == 0 ? k : kind::fiber, [&, i] {
          s.acquire(2);
          order.add(i);
        });
        tasks.back().until_blocked(acquiring);
      }
      for (int i = 0; i < 4; ++i) {
        s.release(2);
        tasks[static_cast<std::size_t>(i)].join();
      }
      CHECK(order.all() == std::vector{0, 1, 2, 3});
      s.release(3);
      CHECK(s.try_acquire(3));
    });
  }
}

TEST_CASE("semaphore: a request for nothing waits only behind others", "[sync][unit][EG-09]") {
  test::run_with_procs([] {
    weft::semaphore s(1);
    s.acquire(1);
    s.acquire(0);
    CHECK(s.try_acquire(0));
    task one(kind::fiber, [&] { s.acquire(1); });
    one.until_blocked(acquiring);
    task nothing(kind::fiber, [&] { s.acquire(0); });
    nothing.until_blocked(acquiring);
    CHECK_FALSE(s.try_acquire(0));
    s.release(1);
    one.join();
    nothing.join();
  });
}

TEST_CASE("semaphore: a large request is not starved by small ones", "[sync][unit][EG-10][EG-13]") {
  test::run_with_procs([] {
    weft::semaphore s(4);
    s.acquire(3);
    task large(kind::fiber, [&] { s.acquire(4); });
    large.until_blocked(acquiring);
    task small(kind::fiber, [&] { s.acquire(1); });
    small.until_blocked(acquiring);
    CHECK_FALSE(s.try_acquire(1));  // one is free, but somebody waits
    s.release(2);
    for (int i = 0; i < 10; ++i) weft::yield();
    CHECK_FALSE(large.is_done());
    CHECK_FALSE(small.is_done());
    s.release(1);
    large.join();
    CHECK_FALSE(small.is_done());
    s.release(4);
    small.join();
    CHECK(s.try_acquire(3));
    CHECK_FALSE(s.try_acquire(1));
  });
}

TEST_CASE("semaphore: more than it has is an error, or waits for the context's end",
          "[sync][unit][EG-11]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::semaphore s(2);
      CHECK_THROWS_AS(s.acquire(3), weft::usage_error);
      CHECK_FALSE(s.try_acquire(3));
      auto [ctx, cancel] = weft::with_cancel(weft::context());
      test::expectations expect;
      task too_much(k, [&, c = ctx] {
        std::error_code ec;
        expect.that(!s.acquire(c, 3, ec), "never granted");
        expect.that(ec == weft::errc::canceled, "with the context's error");
      });
      too_much.until_blocked(acquiring);
      s.acquire(2);  // not held up
      s.release(2);
      cancel();
      too_much.join();
      CHECK_FALSE(s.try_acquire_for(1ms, 3));
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("semaphore: a context that was done before wins over free units", "[sync][unit][EG-12]") {
  test::run_with_procs([] {
    weft::semaphore s(2);
    auto [ctx, cancel] = weft::with_cancel(weft::context());
    s.acquire(ctx);
    cancel();
    std::error_code ec;
    CHECK_FALSE(s.acquire(ctx, ec));
    CHECK(ec == weft::errc::canceled);
    try {
      s.acquire(ctx);
      FAIL("did not throw");
    } catch (const std::system_error& e) {
      CHECK(e.code() == weft::errc::canceled);
    }
    CHECK(s.try_acquire(1));
    CHECK_FALSE(s.try_acquire(1));
  });
}

TEST_CASE("semaphore: when the head gives up, those that fit go on at once",
          "[sync][unit][EG-12][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::semaphore s(3);
      auto [ctx, cancel] = weft::with_cancel(weft::context());
      test::expectations expect;
      s.acquire(1);
      task head(k, [&, c = ctx] {
        std::error_code ec;
        expect.that(!s.acquire(c, 3, ec), "cancelled");
      });
      head.until_blocked(acquiring);
      std::vector<task> fitting;
      for (int i = 0; i < 2; ++i) {
        fitting.emplace_back(k, [&] { s.acquire(1); });
        fitting.back().until_blocked(acquiring);
      }
      task behind(k, [&] { s.acquire(1); });
      behind.until_blocked(acquiring);
      cancel();
      head.join();
      test::join(fitting);
      CHECK_FALSE(behind.is_done());
      s.release(1);
      behind.join();
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("semaphore: a grant that meets the context's end is given back", "[sync][unit][EG-12]") {
  weft::run(
      [] {
        weft::semaphore s(1);
        auto [ctx, cancel] = weft::with_cancel(weft::context());
        s.acquire();
        std::error_code ec;
        bool got = true;
        task waiter(kind::fiber, [&, c = ctx] { got = s.acquire(c, ec); });
        waiter.until_blocked(acquiring);
        s.release();  // granted, but not yet running
        cancel();
        waiter.join();
        CHECK_FALSE(got);
        CHECK(ec == weft::errc::canceled);
        CHECK(s.try_acquire());
      },
      weft::options{.procs = 1, .seed = 5});
}

TEST_CASE("semaphore: try_acquire takes what is free, or nothing", "[sync][unit][EG-13][SY-51]") {
  weft::semaphore s(3);
  CHECK(s.try_acquire(2));
  CHECK_FALSE(s.try_acquire(2));
  CHECK(s.try_acquire());
  CHECK_FALSE(s.try_acquire());
  CHECK_FALSE(s.try_acquire_for(0ms));
  s.release(2);
  CHECK(s.try_acquire_for(1h, 2));
}

TEST_CASE("semaphore I1: its misuse throws and changes nothing", "[sync][unit][EG-14]") {
  test::run_with_procs([] {
    const auto says = [](auto call) { return test::thrown_by<weft::usage_error>(call); };
    CHECK(test::contains(says([] { const weft::semaphore bad(-1); }), "semaphore: size < 0"));
    weft::semaphore s(2);
    CHECK(test::contains(says([&] { s.acquire(-1); }), "semaphore: n < 0"));
    CHECK(test::contains(says([&] { static_cast<void>(s.try_acquire(-1)); }), "semaphore: n < 0"));
    CHECK(test::contains(says([&] { s.release(-1); }), "semaphore: n < 0"));
    const auto text = "semaphore: released more than held";
    CHECK(test::contains(says([&] { s.release(); }), text));
    s.acquire();
    CHECK(test::contains(says([&] { s.release(2); }), text));
    s.acquire();
    task waiter(kind::fiber, [&] { s.acquire(2); });
    waiter.until_blocked(acquiring);
    CHECK(test::contains(says([&] { s.release(3); }), text));
    s.release(2);
    waiter.join();
    s.release(2);
    CHECK(s.try_acquire(2));
  });
}

TEST_CASE("semaphore: a release wakes as many of the first as now fit", "[sync][unit][EG-15]") {
  test::run_with_procs([] {
    weft::semaphore s(6);
    s.acquire(6);
    std::vector<task> tasks;
    for (const std::ptrdiff_t k : {1, 2, 2, 1}) {
      tasks.emplace_back(kind::fiber, [&s, k] { s.acquire(k); });
      tasks.back().until_blocked(acquiring);
    }
    s.release(4);
    tasks[0].join();
    tasks[1].join();
    for (int i = 0; i < 10; ++i) weft::yield();
    CHECK_FALSE(tasks[2].is_done());
    CHECK_FALSE(tasks[3].is_done());
    s.release(2);
    tasks[2].join();
    tasks[3].join();
  });
}

TEST_CASE("semaphore: a timed acquire gives up in time, and holds nothing then",
          "[sync][os][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::semaphore s(1);
      test::expectations expect;
      s.acquire();
      task late(k, [&] {
        const auto start = weft::clock::now();
        expect.that(!s.try_acquire_for(5ms), "nothing was free");
        expect.that(weft::clock::now() - start >= 5ms, "5 ms have passed");
        expect.that(!s.try_acquire_until(weft::clock::now() + 1ms), "nothing was free");
      });
      late.join();
      s.release();
      CHECK(s.try_acquire());
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("semaphore I2: units are neither lost nor doubled among waiters that give up",
          "[sync][stress][SY-49]") {
  test::run_with_procs([] {
    constexpr long size = 5;
    weft::semaphore s(size);
    test::tally held;
    test::expectations expect;
    std::vector<task> tasks;
    for (unsigned i = 0; i < 10; ++i) {
      tasks.emplace_back(i % 4 == 3 ? kind::thread : kind::fiber, [&, i] {
        test::random random(test::seed(), i);
        for (int n = 0; n < 1000; ++n) {
          const auto k = static_cast<std::ptrdiff_t>(random.below(size + 1));
          bool got = true;
          switch (random.below(4)) {
            case 0:
              got = s.try_acquire_for(std::chrono::microseconds(random.below(40)), k);
              break;
            case 1:
              got = s.try_acquire(k);
              break;
            default:
              s.acquire(k);
          }
          if (!got) continue;
          held.add(k);
          expect.that(held.count() <= size, "no more than there are");
          held.add(-k);
          s.release(k);
        }
      });
    }
    test::join(tasks);
    CHECK(s.try_acquire(size));
    CHECK(expect.failures() == "");
  });
}

TEST_CASE("semaphore I4: it may be destroyed as soon as the last acquire has returned",
          "[sync][stress][SY-50]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      for (int i = 0; i < 300; ++i) {
        auto s = std::make_unique<weft::semaphore>(1);
        s->acquire();
        task releaser(k, [p = s.get()] { p->release(); });
        if (i % 2 == 0 || !s->try_acquire_for(std::chrono::microseconds(i % 50))) s->acquire();
        s.reset();
        releaser.join();
      }
    });
  }
}
