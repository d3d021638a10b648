// Functions that a cancellation starts.
#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "support/alloc.hpp"
#include "support/catch.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/virtual_time.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"

using namespace std::chrono_literals;
using weft::after_func;
using weft::context;
using weft::with_cancel;

TEST_CASE("context: after_func runs the function in a new fiber once the context is done",
          "[context][unit][CX-25][ST-23]") {
  test::run_in_virtual_time([] {
    auto [ctx, cancel] = with_cancel({});
    auto [child, cancel_child] = with_cancel(ctx);
    test::tally ran;
    const auto main = weft::this_fiber::id();
    after_func(child, [&, p = std::make_unique<int>(1)] {
      weft::sleep_for(1s);  // cancel does not wait
      ran.add(weft::this_fiber::id() == main ? 100 : 1);
    });
    weft::sleep_for(10s);
    CHECK(ran.count() == 0);
    const test::stopwatch watch;
    cancel();
    CHECK(watch.elapsed() == 0s);
    CHECK(ran.count() == 0);
    weft::sleep_for(2s);
    CHECK(ran.count() == 1);
  });
}

TEST_CASE("context: after_func of one that is done starts the function at once",
          "[context][unit][CX-25]") {
  test::run_in_virtual_time([] {
    auto [ctx, cancel] = weft::with_timeout({}, 0s);
    test::tally ran;
    const auto stop = after_func(ctx, [&] { ran.add(); });
    CHECK_FALSE(stop());
    test::until([&] { return ran.count() == 1; }, "it has run");
  });
}

TEST_CASE("context: a deadline starts the functions too", "[context][unit][CX-25]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    auto [ctx, cancel] = weft::with_timeout({}, 2s);
    test::notes<weft::clock::duration> ran;
    after_func(ctx, [&] { ran.add(watch.elapsed()); });
    weft::sleep_for(3s);
    CHECK(ran.all() == std::vector<weft::clock::duration>{2s});
  });
}

TEST_CASE("context: stop of after_func is true if it kept the function from running",
          "[context][unit][CX-26]") {
  test::run_in_virtual_time([] {
    auto [ctx, cancel] = with_cancel({});
    test::tally ran;
    const auto alive = std::make_shared<int>(0);
    const auto stop = after_func(ctx, [&, alive] { ran.add(); });
    const auto copy = stop;
    CHECK(stop());
    CHECK(alive.use_count() == 1);  // the function is destroyed with that
    CHECK_FALSE(stop());
    CHECK_FALSE(copy());
    const auto started = after_func(ctx, [&] {
      weft::sleep_for(1s);
      ran.add();
    });
    cancel();
    CHECK_FALSE(started());
    CHECK(ran.count() == 0);
    weft::sleep_for(2s);
    CHECK(ran.count() == 1);
    CHECK_FALSE(weft::stop_func()());
  });
}

TEST_CASE("context: several functions on one context each run once", "[context][unit][CX-27]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = with_cancel({});
    constexpr int n = 50;
    test::notes<int> ran;
    std::vector<weft::stop_func> stops;
    for (int i = 0; i < n; ++i) stops.push_back(after_func(ctx, [&, i] { ran.add(i); }));
    for (int i = 0; i < n; i += 2) CHECK(stops[static_cast<std::size_t>(i)]());
    cancel();
    cancel();
    test::until([&] { return ran.size() == n / 2; }, "the others have run");
    std::vector<int> odd;
    for (int i = 1; i < n; i += 2) odd.push_back(i);
    CHECK(ran.sorted() == odd);
  });
}

TEST_CASE("context: after_func on the background never runs", "[context][unit][CX-28]") {
  test::run_in_virtual_time([] {
    test::tally ran;
    const auto stop = after_func(context(), [&] { ran.add(); });
    weft::sleep_for(1h);
    CHECK(stop());
    CHECK_FALSE(stop());
    const auto alive = std::make_shared<int>(0);
    after_func(context(), [alive] {});
    CHECK(alive.use_count() == 1);
    CHECK(ran.count() == 0);
  });
}

TEST_CASE("context: functions that are stopped, run or forgotten leave nothing behind",
          "[context][unit][CX-26]") {
  const auto alive = std::make_shared<int>(0);
  test::run_with_procs([&] {
    auto [root, cancel_root] = with_cancel({});
    const auto churn = [&, &base = root](int n) {
      for (int i = 0; i < n; ++i) after_func(base, [alive] {})();
    };
    churn(100);
    const std::ptrdiff_t before = test::live_bytes();
    churn(10'000);
    CHECK(test::live_bytes() == before);
    {
      // Only the context keeps the function, and it is never cancelled by anybody.
      std::stop_source never_stopped;
      const context forgotten = weft::from_stop_token(never_stopped.get_token());
      after_func(forgotten, [alive] {});
      CHECK(alive.use_count() > 1);
    }
    CHECK(alive.use_count() == 1);
    auto [ctx, cancel] = with_cancel({});
    const auto stop = after_func(ctx, [alive] {});
    cancel();
    test::until([&] { return alive.use_count() == 1; }, "it has run and was destroyed");
  });
  CHECK(alive.use_count() == 1);
}

TEST_CASE("context: a function whose runtime is gone does not run", "[context][unit][CX-25]") {
  const auto alive = std::make_shared<int>(0);
  auto [ctx, cancel] = with_cancel({});
  test::tally ran;
  test::run_with_procs([&, &outer = ctx] { after_func(outer, [&, alive] { ran.add(); }); });
  cancel();
  CHECK(ran.count() == 0);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("context: cancelled by a plain thread, it runs where it was registered",
          "[context][unit][CX-25]") {
  weft::options options;
  options.procs = 1;
  weft::runtime first(options);
  weft::runtime second(options);
  auto [ctx, cancel] = with_cancel({});
  const auto done = weft::make_chan<bool>(1);
  second.block_on([&, &shared = ctx] {
    after_func(shared,
               [done, r = weft::runtime::current()] { done.send(weft::runtime::current() == r); });
  });
  cancel();
  CHECK(done.recv() == true);
}

TEST_CASE("context: stop and cancel at the same time start the function or not, never both",
          "[context][stress][CX-26]") {
  test::run_with_procs([] {
    test::tally ran;
    long stopped = 0;
    constexpr int rounds = 1'000;
    for (int i = 0; i < rounds; ++i) {
      auto [ctx, cancel] = with_cancel({});
      const auto stop = after_func(ctx, [&] { ran.add(); });
      auto canceller = weft::spawn([&] { cancel(); });
      if (i % 2 == 0) weft::yield();
      if (stop()) ++stopped;
      canceller.join();
    }
    test::until([&] { return ran.count() + stopped >= rounds; }, "all have run or were stopped");
    CHECK(ran.count() + stopped == rounds);
  });
}
