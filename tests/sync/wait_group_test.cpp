// The wait group: counting, releasing, its misuse, and its end.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

using test::kind;
using test::task;

namespace {

constexpr auto waiting = "sync.WaitGroup.Wait";

}  // namespace

TEST_CASE("wait_group: a wait at zero returns at once", "[sync][unit][SY-20]") {
  weft::wait_group wg;
  wg.wait();
  wg.add(3);
  wg.add(-3);
  wg.wait();
  wg.add(0);
  wg.wait();
}

TEST_CASE("wait_group: all waits block until the counter is zero", "[sync][unit][SY-20][SY-47]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::wait_group wg;
      wg.add(2);
      std::vector<task> waiters;
      for (int i = 0; i < 5; ++i) {
        waiters.emplace_back(i % 2 == 0 ? k : kind::fiber, [&] { wg.wait(); });
        waiters.back().until_blocked(waiting);
      }
      wg.done();
      for (int i = 0; i < 10; ++i) weft::yield();
      for (const task& w : waiters) CHECK_FALSE(w.is_done());
      wg.done();
      test::join(waiters);
    });
  }
}

TEST_CASE("wait_group: a counter below zero throws", "[sync][unit][SY-21]") {
  const auto text = "sync: negative WaitGroup counter";
  weft::wait_group wg;
  CHECK(test::contains(test::thrown_by<weft::usage_error>([&] { wg.done(); }), text));
  wg.add(2);
  CHECK(test::contains(test::thrown_by<weft::usage_error>([&] { wg.add(-3); }), text));
  wg.add(-2);
  wg.wait();
  CHECK(test::thrown_by<weft::usage_error>([&] { wg.add(std::ptrdiff_t{1} << 40); }) ==
        "sync: WaitGroup counter out of range");
}

TEST_CASE("wait_group: an add from zero while a released wait is on its way out is noticed",
          "[sync][stress][SY-22][SY-23]") {
  // Which of the two misuses is seen, if any, is a matter of time; no other error may appear, and
  // nobody may hang.
  test::run_with_procs([] {
    test::expectations expect;
    test::tally noticed;
    for (int i = 0; i < 500; ++i) {
      weft::wait_group wg;
      wg.add(1);
      const auto misused = [&](auto&& call) {
        try {
          call();
        } catch (const weft::usage_error& e) {
          noticed.add();
          expect.that(test::contains(e.what(), "Add called concurrently with Wait") ||
                          test::contains(e.what(), "is reused before previous Wait has returned"),
                      e.what());
          return false;
        }
        return true;
      };
      task waiter(kind::fiber, [&] { misused([&] { wg.wait(); }); });
      task adder(kind::fiber, [&] {
        if (misused([&] { wg.add(1); })) wg.done();
      });
      wg.done();
      waiter.join();
      adder.join();
    }
    CHECK(expect.failures() == "");
  });
}

TEST_CASE("wait_group: a wait that finds the group in use again throws", "[sync][unit][SY-23]") {
  weft::run(
      [] {
        weft::wait_group wg;
        wg.add(1);
        std::string said;
        task waiter(kind::fiber,
                    [&] { said = test::thrown_by<weft::usage_error>([&] { wg.wait(); }); });
        waiter.until_blocked(waiting);
        wg.done();
        wg.add(1);
        waiter.join();
        CHECK(test::contains(said, "sync: WaitGroup is reused before previous Wait has returned"));
        wg.done();
        wg.wait();
      },
      weft::options{.procs = 1, .seed = 3});
}

TEST_CASE("wait_group: it may be used for any number of rounds", "[sync][unit][SY-24][SY-27]") {
  test::run_with_procs([] {
    weft::wait_group wg;
    std::vector<int> results(8, 0);
    for (int round = 1; round <= 200; ++round) {
      for (int& r : results) wg.go([&r] { ++r; });
      wg.wait();
      CHECK(results == std::vector<int>(8, round));
    }
  });
}

TEST_CASE("wait_group: go counts a fiber until it has returned or left", "[sync][unit][SY-25]") {
  test::run_with_procs([] {
    weft::wait_group wg;
    std::atomic<int> ended{0};
    const auto token = std::make_shared<int>(1);
    for (int i = 0; i < 10; ++i) {
      wg.go([&ended, token, leaves = i % 2 == 0] {
        for (int n = 0; n < 3; ++n) weft::yield();
        ++ended;
        if (leaves) weft::exit_fiber();
      });
    }
    wg.wait();
    CHECK(ended == 10);
    CHECK(token.use_count() == 1);  // the functions are destroyed by then
    wg.go([p = std::make_unique<int>(5), &ended] { ended += *p; });
    wg.wait();
    CHECK(ended == 15);
  });
}

TEST_CASE("wait_group: an exception that leaves a function of go ends the process",
          "[sync][unit][SY-26]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      weft::wait_group wg;
      wg.go([] { throw std::runtime_error("no way on"); });
      wg.wait();
      std::puts("released");
    });
  });
  CHECK(end.status == 2);
  CHECK(test::contains(end.err, "panic: no way on"));
  CHECK(end.out.empty());
}

TEST_CASE("wait_group I1: no wait returns before the counter was zero", "[sync][stress][SY-27]") {
  test::run_with_procs([] {
    test::expectations expect;
    for (int round = 0; round < 300; ++round) {
      weft::wait_group wg;
      int cells[6] = {};
      wg.add(6);
      std::vector<task> tasks;
      for (int i = 0; i < 3; ++i) {
        tasks.emplace_back(i == 2 ? kind::thread : kind::fiber, [&] {
          wg.wait();
          for (const int c : cells) expect.that(c == 1, "what came before done() is visible");
        });
      }
      for (int& c : cells) {
        tasks.emplace_back(kind::fiber, [&] {
          c = 1;
          wg.done();
        });
      }
      test::join(tasks);
    }
    CHECK(expect.failures() == "");
  });
}

TEST_CASE("wait_group: a wait with a context ends when the context is done",
          "[sync][unit][SY-48]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      weft::wait_group wg;
      test::expectations expect;
      auto [ctx, cancel] = weft::with_cancel(weft::context());
      wg.add(1);
      task gives_up(k, [&, c = ctx] {
        std::error_code ec;
        expect.that(!wg.wait(c, ec), "cancelled");
        expect.that(ec == weft::errc::canceled, "with the context's error");
      });
      gives_up.until_blocked(waiting);
      task stays(k, [&] { wg.wait(); });
      stays.until_blocked(waiting);
      cancel();
      gives_up.join();
      CHECK_FALSE(stays.is_done());
      wg.done();
      stays.join();
      // Done before the call: even a counter of zero does not count.
      CHECK_THROWS_AS(wg.wait(ctx), std::system_error);
      std::error_code ec = weft::errc::closed;
      CHECK(wg.wait(weft::context(), ec));
      CHECK_FALSE(ec);
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("wait_group I2: it may be destroyed as soon as the waits have returned",
          "[sync][stress][SY-50]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      for (int i = 0; i < 300; ++i) {
        auto wg = std::make_unique<weft::wait_group>();
        wg->add(2);
        std::vector<task> tasks;
        for (int n = 0; n < 2; ++n) tasks.emplace_back(k, [w = wg.get()] { w->done(); });
        auto [ctx, cancel] = weft::with_cancel(weft::context());
        task canceller(k, [&c = cancel] { c(); });
        std::error_code ec;
        if (i % 2 == 0 || !wg->wait(ctx, ec)) wg->wait();
        wg.reset();
        canceller.join();
        test::join(tasks);
      }
    });
  }
}

TEST_CASE("wait_group: fibers that never ran count down when the run is unwound",
          "[sync][unit][SC-03]") {
  int dropped = 0;  // fibers that did not run before main returned
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed: " << seed);
    std::atomic<int> begun{0};
    weft::wait_group group;
    weft::options o;
    o.seed = seed;
    o.on_exit = weft::exit_policy::unwind;
    weft::run(
        [&] {
          for (int i = 0; i < 3; ++i) {
            group.go([&] {
              ++begun;
              (void)weft::chan<int>().recv();
            });
          }
          weft::yield();
        },
        o);
    // Who waits now waits in virtual time only.
    const bool is_zero = weft::run(
        [&] {
          const auto limit = weft::with_timeout({}, std::chrono::seconds(1));
          std::error_code ec;
          return group.wait(limit.ctx, ec);
        },
        o);
    CHECK(is_zero);
    dropped += 3 - begun;
  }
  CHECK(dropped > 0);
}
