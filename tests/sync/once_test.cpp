// once and once_value: one run, whatever way it ends.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/sync.hpp"

using test::kind;
using test::task;

TEST_CASE("once I1: one call runs its function, the others return after that run",
          "[sync][unit][SY-28][SY-47]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      for (int round = 0; round < 50; ++round) {
        weft::once o;
        int value = 0;
        test::tally runs;
        test::expectations expect;
        std::vector<task> tasks;
        for (int i = 0; i < 6; ++i) {
          tasks.emplace_back(i % 2 == 0 ? kind::fiber : k, [&] {
            o.call([&] {
              runs.add();
              test::relax();
              value = 1;
            });
            expect.that(value == 1, "the run has ended");
          });
        }
        test::join(tasks);
        CHECK(runs.count() == 1);
        CHECK(expect.failures() == "");
      }
    });
  }
}

TEST_CASE("once: a function that throws has run", "[sync][unit][SY-29]") {
  test::run_with_procs([] {
    weft::once o;
    CHECK_THROWS_AS(o.call([] { throw std::runtime_error("once"); }), std::runtime_error);
    bool again = false;
    o.call([&] { again = true; });
    CHECK_FALSE(again);
  });
}

TEST_CASE("once: calls that wait are released by an exception and by exit_fiber",
          "[sync][unit][SY-29][SY-30]") {
  for (const bool leaves : {false, true}) {
    test::run_with_procs([leaves] {
      weft::once o;
      std::atomic<bool> is_running{false};
      std::atomic<bool> go_on{false};
      task runner(kind::fiber, [&] {
        o.call([&] {
          is_running = true;
          while (!go_on) weft::yield();
          if (leaves) weft::exit_fiber();
          throw std::runtime_error("once");
        });
      });
      test::until([&] { return is_running.load(); }, "the function runs");
      std::vector<task> waiters;
      for (const kind k : test::both_kinds) {
        waiters.emplace_back(k, [&] { o.call([] { std::abort(); }); });
        waiters.back().until_blocked();
      }
      go_on = true;
      test::join(waiters);
      if (!leaves) CHECK_THROWS_AS(runner.join(), std::runtime_error);
    });
  }
}

TEST_CASE("once: a call inside its own function blocks for ever", "[sync][unit][SY-30]") {
  test::run_with_procs(
      [] {
        weft::go([o = std::make_shared<weft::once>()] { o->call([&o] { o->call([] {}); }); });
        test::until_blocked(1);
      },
      {.leaves = 1});
}

TEST_CASE("once_value: the function runs at the first call, later ones give the same object",
          "[sync][unit][SY-31]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      test::tally runs;
      const auto name = weft::once_value([&runs] {
        runs.add();
        return std::string("weft");
      });
      CHECK(runs.count() == 0);
      test::notes<const std::string*> seen;
      std::vector<task> tasks;
      for (int i = 0; i < 6; ++i) tasks.emplace_back(k, [&, copy = name] { seen.add(&copy()); });
      test::join(tasks);
      CHECK(runs.count() == 1);
      CHECK(name() == "weft");
      CHECK(seen.all() == std::vector<const std::string*>(6, &name()));
    });
  }
}

TEST_CASE("once_value: an exception is thrown at every call", "[sync][unit][SY-32]") {
  test::run_with_procs([] {
    int runs = 0;
    const auto value = weft::once_value([&runs]() -> int {
      ++runs;
      throw std::runtime_error("no value");
    });
    const std::runtime_error* first = nullptr;
    for (int i = 0; i < 3; ++i) {
      try {
        static_cast<void>(value());
        FAIL("did not throw");
      } catch (const std::runtime_error& e) {
        if (first == nullptr) first = &e;
        CHECK(&e == first);
      }
    }
    CHECK(runs == 1);
  });
}

TEST_CASE("once_value: the function is destroyed after the first call", "[sync][unit][SY-33]") {
  const auto token = std::make_shared<int>(3);
  const auto value = weft::once_value([token] { return *token; });
  CHECK(token.use_count() == 2);
  CHECK(value() == 3);
  CHECK(token.use_count() == 1);
  const auto moved = weft::once_value([p = std::make_unique<int>(4)] { return *p; });
  CHECK(moved() == 4);
  const auto thrower = weft::once_value([token]() -> int { throw *token; });
  CHECK_THROWS_AS(thrower(), int);
  CHECK(token.use_count() == 1);
}

TEST_CASE("once_value: a function that leaves by exit_fiber has no value for the others",
          "[sync][unit][SY-30]") {
  test::run_with_procs([] {
    const auto value = weft::once_value([]() -> int { weft::exit_fiber(); });
    task runner(kind::fiber, [&] { static_cast<void>(value()); });
    test::until([] { return weft::num_fibers() == 1; }, "the runner has left");
    try {
      static_cast<void>(value());
      FAIL("did not throw");
    } catch (const std::system_error& e) {
      CHECK(e.code() == weft::errc::fiber_exited);
    }
  });
}
