// Latches and barriers.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

using test::kind;
using test::task;

TEST_CASE("latch: counting down to zero releases all, for good",
          "[sync][unit][SY-42][SY-43][SY-47]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::latch l(3);
      int value = 0;
      test::expectations expect;
      std::vector<task> waiters;
      for (int i = 0; i < 4; ++i) {
        waiters.emplace_back(k, [&] {
          l.wait();
          expect.that(value == 1, "what came before count_down is visible");
        });
        waiters.back().until_blocked();
      }
      l.count_down(2);
      CHECK_FALSE(l.try_wait());
      value = 1;
      l.count_down();
      test::join(waiters);
      CHECK(l.try_wait());
      l.wait();
      CHECK(expect.failures() == "");
      CHECK_THROWS_AS(l.count_down(), weft::usage_error);
      l.wait();
    });
  }
}

TEST_CASE("latch: its misuse throws", "[sync][unit][SY-42]") {
  CHECK_THROWS_AS(weft::latch(-1), weft::usage_error);
  weft::latch l(1);
  CHECK_THROWS_AS(l.count_down(2), weft::usage_error);
  CHECK_THROWS_AS(l.count_down(-1), weft::usage_error);
  CHECK_FALSE(l.try_wait());
  l.arrive_and_wait();
}

TEST_CASE("latch: a wait with a context ends when the context is done", "[sync][unit][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::latch l(1);
      test::expectations expect;
      auto [ctx, cancel] = weft::with_cancel(weft::context());
      task waiter(k, [&, c = ctx] {
        std::error_code ec;
        expect.that(!l.wait(c, ec), "cancelled");
        expect.that(ec == weft::errc::canceled, "with the context's error");
      });
      waiter.until_blocked();
      cancel();
      waiter.join();
      l.count_down();
      CHECK_THROWS_AS(l.wait(ctx), std::system_error);
      l.wait(weft::context());
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("barrier I1: no fiber is ever two phases ahead of another",
          "[sync][stress][SY-44][SY-45][SY-47]") {
  for (const bool mixed : {false, true}) {
    test::run_with_procs([mixed] {
      constexpr std::size_t members = 4;
      const int phases = mixed ? 100 : 5'000;  // of two arrivals each
      int completions = 0;
      weft::barrier b(members, [&] { ++completions; });
      std::atomic<int> phase_of[members] = {};
      test::expectations expect;
      std::vector<task> tasks;
      for (std::size_t i = 0; i < members; ++i) {
        tasks.emplace_back(mixed && i % 2 == 1 ? kind::thread : kind::fiber, [&, i] {
          for (int phase = 1; phase <= phases; ++phase) {
            phase_of[i] = phase;
            b.arrive_and_wait();
            expect.that(completions >= phase, "the completion has run");
            for (const std::atomic<int>& other : phase_of) {
              const int ahead = other - phase;
              expect.that(ahead == 0 || ahead == 1, "at most one phase ahead");
            }
            b.arrive_and_wait();
          }
        });
      }
      test::join(tasks);
      CHECK(completions == 2 * phases);
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("barrier: arrive_and_drop counts now, and is not expected later", "[sync][unit][SY-45]") {
  test::run_with_procs([] {
    int completions = 0;
    weft::barrier b(3, [&] { ++completions; });
    std::vector<task> tasks;
    for (int i = 0; i < 2; ++i) {
      tasks.emplace_back(kind::fiber, [&] {
        for (int n = 0; n < 5; ++n) b.arrive_and_wait();
      });
    }
    tasks.front().until_blocked();
    tasks.back().until_blocked();
    b.arrive_and_drop();
    test::join(tasks);
    CHECK(completions == 5);
  });
}

TEST_CASE("barrier: an arrival that gives up does not count", "[sync][unit][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::barrier b(2);
      test::expectations expect;
      auto [ctx, cancel] = weft::with_cancel(weft::context());
      task gives_up(k, [&, c = ctx] {
        std::error_code ec;
        expect.that(!b.arrive_and_wait(c, ec), "cancelled");
      });
      gives_up.until_blocked();
      cancel();
      gives_up.join();
      CHECK_THROWS_AS(b.arrive_and_wait(ctx), std::system_error);
      task first(k, [&] { b.arrive_and_wait(); });
      first.until_blocked();
      std::error_code ec;
      CHECK(b.arrive_and_wait(weft::context(), ec));
      first.join();
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("barrier: a completion that throws ends its phase", "[sync][unit][SY-44]") {
  test::run_with_procs([] {
    weft::barrier b(2, [] { throw std::runtime_error("completion"); });
    task first(kind::fiber, [&] { b.arrive_and_wait(); });
    first.until_blocked();
    CHECK_THROWS_AS(b.arrive_and_wait(), std::runtime_error);
    first.join();
    CHECK_THROWS_AS(weft::barrier(-1), weft::usage_error);
    weft::barrier nobody(0);
    CHECK_THROWS_AS(nobody.arrive_and_wait(), weft::usage_error);
    CHECK_THROWS_AS(nobody.arrive_and_drop(), weft::usage_error);
  });
}

TEST_CASE("sync: latches and barriers may be destroyed as soon as the waits have returned",
          "[sync][stress][SY-50]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      for (int i = 0; i < 200; ++i) {
        auto l = std::make_unique<weft::latch>(1);
        task counter(k, [p = l.get()] { p->count_down(); });
        l->wait();
        l.reset();
        counter.join();
        auto b = std::make_unique<weft::barrier>(2);
        std::atomic<bool> returned{false};
        task other(k, [&, p = b.get()] {
          p->arrive_and_wait();
          returned = true;
        });
        b->arrive_and_wait();
        test::until([&] { return returned.load(); }, "both have returned");
        b.reset();
        other.join();
      }
    });
  }
}
