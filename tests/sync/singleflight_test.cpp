// singleflight: one run for all who ask at the same time.
#include <atomic>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

using test::kind;
using test::task;

namespace {

using flights = weft::singleflight<std::string, int>;

// A call whose function runs until it is told to end.
struct held_call {
  std::atomic<bool> is_running{false};
  std::atomic<bool> go_on{false};

  int until_told(int value) {
    is_running = true;
    while (!go_on) test::relax();
    return value;
  }
};

}  // namespace

TEST_CASE("singleflight: calls for the same key run the function once and share its value",
          "[sync][unit][EG-16][SY-47]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      flights s;
      held_call held;
      test::tally runs;
      test::tally shared;
      test::expectations expect;
      const auto call = [&](auto f) {
        return task(k, [&, f] {
          const flights::flight got = s.run("key", f);
          expect.that(got.value == 7, "the one value");
          if (got.shared) shared.add();
        });
      };
      task first = call([&] {
        runs.add();
        return held.until_told(7);
      });
      test::until([&] { return held.is_running.load(); }, "the function runs");
      std::vector<task> others;
      for (int i = 0; i < 4; ++i) {
        others.push_back(call([&] {
          runs.add();
          return 8;
        }));
        others.back().until_blocked();
      }
      // Other keys are independent.
      CHECK(s.run("other", [] { return 9; }).value == 9);
      held.go_on = true;
      first.join();
      test::join(others);
      CHECK(runs.count() == 1);
      CHECK(shared.count() == 5);
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE("singleflight: the function runs in the fiber of the first caller",
          "[sync][unit][EG-16]") {
  test::run_with_procs([] {
    flights s;
    weft::fiber_id ran_in;
    const flights::flight got = s.run("key", [&] {
      ran_in = weft::this_fiber::id();
      return 1;
    });
    CHECK(got.value == 1);
    CHECK(ran_in == weft::this_fiber::id());
  });
}

TEST_CASE("singleflight: a call after the end runs its function anew", "[sync][unit][EG-17]") {
  flights s;
  for (int i = 0; i < 3; ++i) {
    const flights::flight got = s.run("key", [i] { return i; });
    CHECK(got.value == i);
    CHECK_FALSE(got.shared);
  }
}

TEST_CASE("singleflight: a waiter with a context leaves, and the run goes on",
          "[sync][unit][EG-18]") {
  test::run_with_procs([] {
    flights s;
    held_call held;
    auto [ctx, cancel] = weft::with_cancel(weft::context());
    int got = 0;
    task first(kind::fiber,
               [&, c = ctx] { got = s.run(c, "key", [&] { return held.until_told(7); }).value; });
    test::until([&] { return held.is_running.load(); }, "the function runs");
    task leaves(kind::fiber,
                [&, c = ctx] { static_cast<void>(s.run(c, "key", [] { return 8; })); });
    leaves.until_blocked();
    int stayed = 0;
    task stays(kind::fiber, [&] { stayed = s.run("key", [] { return 8; }).value; });
    stays.until_blocked();
    cancel();
    CHECK_THROWS_AS(leaves.join(), std::system_error);
    std::error_code ec;
    CHECK_FALSE(s.run(ctx, "key", [] { return 8; }, ec).has_value());
    CHECK(ec == weft::errc::canceled);
    held.go_on = true;
    first.join();
    stays.join();
    CHECK(got == 7);
    CHECK(stayed == 7);
  });
}

TEST_CASE("singleflight: after forget the next call starts anew", "[sync][unit][EG-19]") {
  test::run_with_procs([] {
    flights s;
    held_call old_call;
    held_call new_call;
    int old_value = 0;
    int waited_value = 0;
    int new_value = 0;
    int late_value = 0;
    task old_task(kind::fiber,
                  [&] { old_value = s.run("key", [&] { return old_call.until_told(1); }).value; });
    test::until([&] { return old_call.is_running.load(); }, "the first function runs");
    task waiter(kind::fiber, [&] { waited_value = s.run("key", [] { return -1; }).value; });
    waiter.until_blocked();
    s.forget("key");
    task new_task(kind::fiber,
                  [&] { new_value = s.run("key", [&] { return new_call.until_told(2); }).value; });
    test::until([&] { return new_call.is_running.load(); }, "the second function runs");
    old_call.go_on = true;
    old_task.join();
    waiter.join();
    CHECK(old_value == 1);
    CHECK(waited_value == 1);
    // The end of the old run has not removed the new one.
    task late(kind::fiber, [&] { late_value = s.run("key", [] { return -1; }).value; });
    late.until_blocked();
    new_call.go_on = true;
    new_task.join();
    late.join();
    CHECK(new_value == 2);
    CHECK(late_value == 2);
  });
}

TEST_CASE("singleflight: an exception reaches every caller, and the key is free again",
          "[sync][unit][EG-20]") {
  test::run_with_procs([] {
    flights s;
    held_call held;
    std::vector<task> tasks;
    tasks.emplace_back(kind::fiber, [&] {
      static_cast<void>(s.run("key", [&]() -> int {
        held.until_told(0);
        throw std::runtime_error("no value");
      }));
    });
    test::until([&] { return held.is_running.load(); }, "the function runs");
    for (int i = 0; i < 3; ++i) {
      tasks.emplace_back(kind::fiber, [&] { static_cast<void>(s.run("key", [] { return 1; })); });
      tasks.back().until_blocked();
    }
    held.go_on = true;
    for (task& t : tasks) CHECK_THROWS_AS(t.join(), std::runtime_error);
    CHECK(s.run("key", [] { return 2; }).value == 2);
  });
}

TEST_CASE("singleflight: when the function leaves by exit_fiber nobody hangs",
          "[sync][unit][EG-21]") {
  test::run_with_procs([] {
    flights s;
    held_call held;
    task leaves(kind::fiber, [&] {
      static_cast<void>(s.run("key", [&]() -> int {
        held.until_told(0);
        weft::exit_fiber();
      }));
    });
    test::until([&] { return held.is_running.load(); }, "the function runs");
    task waiter(kind::fiber, [&] { static_cast<void>(s.run("key", [] { return 1; })); });
    waiter.until_blocked();
    held.go_on = true;
    CHECK_THROWS_AS(waiter.join(), std::system_error);
    CHECK(s.run("key", [] { return 2; }).value == 2);
  });
}
