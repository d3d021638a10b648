// Seeded runs: the same seed gives the same order of events, and time is virtual.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

weft::options seeded(std::uint64_t seed) {
  weft::options o;
  o.seed = seed;
  return o;
}

// A run with everything that may depend on chance; one line for each event.
std::vector<std::string> events(std::uint64_t seed) {
  std::vector<std::string> log;  // one processor, and no other thread writes
  weft::run(
      [&] {
        const auto note = [&](const char* what, int who) {
          log.push_back(what + std::to_string(who));
        };
        weft::chan<int> a = weft::make_chan<int>();
        weft::chan<int> b = weft::make_chan<int>(2);
        weft::mutex mutex;
        std::vector<weft::join_handle<void>> fibers;
        for (int i = 0; i < 4; ++i) {
          fibers.push_back(weft::spawn([&, i] {
            for (int k = 0; k < 10; ++k) {
              weft::select(weft::send(a, i, [&] { note("a<", i); }),
                           weft::send(b, i, [&] { note("b<", i); }));
              if (k % 3 == 0) weft::yield();
            }
          }));
          fibers.push_back(weft::spawn([&, i] {
            for (int k = 0; k < 10; ++k) {
              weft::select(weft::recv(a, [&](int n) { note("a>", n); }),
                           weft::recv(b, [&](int n) { note("b>", n); }));
              mutex.lock();
              note("lock", i);
              weft::yield();
              mutex.unlock();
            }
          }));
          fibers.push_back(weft::spawn([&, i] {
            for (int k = 0; k < 10; ++k) {
              weft::sleep_for(std::chrono::milliseconds(i + k % 3));
              note("woke", i);
              log.push_back(std::to_string(weft::clock::now().time_since_epoch().count()));
            }
          }));
          fibers.push_back(weft::spawn([&, i] {
            // Many entries without a park: slices count entries here.
            weft::chan<int> mine = weft::make_chan<int>(1);
            for (int k = 0; k < 3'000; ++k) {
              mine.send(k);
              (void)mine.recv();
              if (k % 500 == 0) note("turn", i);
            }
            note("blocking", weft::blocking([i] { return i; }));
          }));
        }
        for (weft::join_handle<void>& f : fibers) f.join();
      },
      seeded(seed));
  return log;
}

}  // namespace

TEST_CASE("seed: the same one gives the same order of events", "[sched][unit][SC-05]") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed: " << seed);
    const std::vector<std::string> first = events(seed);
    REQUIRE(first.size() > 200);
    for (int again = 0; again < 3; ++again) REQUIRE(events(seed) == first);
  }
}

TEST_CASE("seed: different ones give different orders", "[sched][unit][SC-05]") {
  std::set<std::vector<std::string>> orders;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) orders.insert(events(seed));
  // A seed that is not used gives one order; a few may coincide by chance.
  CHECK(orders.size() >= 8);
}

TEST_CASE("seed: the machine's load does not show", "[sched][os][SC-05]") {
  const std::vector<std::string> quiet = events(4);
  std::atomic<bool> stop{false};
  std::vector<std::thread> load;
  for (int i = 0; i < 4; ++i) {
    load.emplace_back([&] {
      while (!stop) {
      }
    });
  }
  const std::vector<std::string> loaded = events(4);
  stop = true;
  for (std::thread& t : load) t.join();
  CHECK(loaded == quiet);
}

TEST_CASE("seed: time is virtual and exact", "[sched][unit][SC-21]") {
  const std::int64_t start = weft::detail::monotonic_ns();
  weft::run(
      [] {
        const weft::clock::time_point t0 = weft::clock::now();
        weft::join_handle<weft::clock::duration> other = weft::spawn([t0] {
          weft::sleep_for(10h);
          return weft::clock::now() - t0;
        });
        weft::sleep_for(24h);
        CHECK(weft::clock::now() - t0 == 24h);
        CHECK(other.join() == 10h);
        CHECK(weft::clock::now() - t0 == 24h);  // it moves only when all are blocked
        const weft::clock::time_point t1 = weft::clock::now();
        test::spin_for(2ms);
        weft::yield();
        CHECK(weft::clock::now() == t1);
        weft::chan<int> never = weft::make_chan<int>();
        CHECK(weft::select(weft::recv(never), weft::timeout(1min)) == 1);
        CHECK(weft::clock::now() - t1 == 1min);
      },
      seeded(1));
  CHECK(weft::detail::monotonic_ns() - start < 10'000'000'000);
}

TEST_CASE("seed: every run starts at the same time", "[sched][unit][SC-05]") {
  const auto start = [] { return weft::run([] { return weft::clock::now(); }, seeded(1)); };
  const weft::clock::time_point first = start();
  test::spin_for(2ms);
  CHECK(start() == first);
}

TEST_CASE("seed: timers due at once all fire at that time, in the same order for the same seed",
          "[sched][unit][SC-21]") {
  const auto order_of = [](std::uint64_t seed) {
    std::vector<int> order;
    weft::run(
        [&] {
          const weft::clock::time_point due = weft::clock::now() + 1s;
          std::vector<weft::join_handle<bool>> fibers;
          for (int i = 0; i < 10; ++i) {
            fibers.push_back(weft::spawn([&, i] {
              weft::sleep_until(due);
              order.push_back(i);
              return weft::clock::now() == due;
            }));
          }
          for (weft::join_handle<bool>& f : fibers) CHECK(f.join());
        },
        seeded(seed));
    return order;
  };
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const std::vector<int> order = order_of(seed);
    CHECK(order.size() == 10);
    CHECK(order_of(seed) == order);
  }
}

TEST_CASE("seed: nought processors mean one, more are refused", "[sched][unit][SC-05]") {
  CHECK(weft::run([] { return weft::procs(); }, seeded(3)) == 1);
  weft::options two = seeded(3);
  two.procs = 2;
  CHECK_THROWS_AS(weft::run([] {}, two), std::invalid_argument);
  weft::options one = seeded(3);
  one.procs = 1;
  CHECK(weft::run([] { return 4; }, one) == 4);
  const test::child_end end = test::in_child([] {
    ::setenv("WEFT_PROCS", "4", 1);
    if (weft::run([] { return weft::procs(); }, seeded(3)) != 1)
      throw std::runtime_error("the environment won");
  });
  INFO(end.err);
  CHECK(end.status == 0);
}

TEST_CASE("seed: main may leave fibers behind, and a deadlock is found at once",
          "[sched][unit][SC-20][SC-03]") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    weft::run(
        [] {
          for (int i = 0; i < 5; ++i) weft::go([] { (void)weft::chan<int>().recv(); });
          weft::sleep_for(1s);
        },
        seeded(seed));
  }
  weft::options o = seeded(1);
  o.on_deadlock = weft::deadlock_policy::throw_in_main;
  CHECK_THROWS_AS(weft::run([] { (void)weft::chan<int>().recv(); }, o), weft::deadlock_error);
  const auto fatal_of = [](auto main, weft::exit_policy policy) {
    const test::child_end end = test::in_child([=] {
      weft::options in_child = seeded(1);
      in_child.on_exit = policy;
      weft::run(main, in_child);
    });
    return end.status == 2 ? end.err.substr(0, end.err.find('\n')) : "no report";
  };
  const auto block = [] { (void)weft::chan<int>().recv(); };
  CHECK(fatal_of(block, weft::exit_policy::abandon) ==
        "fatal error: all fibers are asleep - deadlock!");
  CHECK(fatal_of([=] { weft::go(block); }, weft::exit_policy::wait) ==
        "fatal error: all fibers are asleep - deadlock!");
  CHECK(fatal_of([] { weft::exit_fiber(); }, weft::exit_policy::abandon) ==
        "fatal error: no fibers (main called exit_fiber) - deadlock!");
}

TEST_CASE("seed: nothing runs between main's return and the end of the run",
          "[sched][unit][SC-05][SC-03]") {
  // What the others have done when main returns, and what they do after that.
  const auto events_with = [](weft::exit_policy policy) {
    std::vector<int> log;
    weft::options o = seeded(7);
    o.on_exit = policy;
    bool is_over = false;
    weft::run(
        [&] {
          for (int i = 0; i < 3; ++i) {
            weft::go([&, i] {
              for (int k = 0; k < 1'000; ++k) {
                log.push_back(is_over ? -i : i);
                weft::yield();
              }
            });
          }
          for (int k = 0; k < 5; ++k) weft::yield();
          is_over = true;
        },
        o);
    return log;
  };
  for (const auto policy : {weft::exit_policy::abandon, weft::exit_policy::unwind}) {
    const std::vector<int> first = events_with(policy);
    for (int again = 0; again < 50; ++again) REQUIRE(events_with(policy) == first);
  }
  CHECK(events_with(weft::exit_policy::wait).size() == 3'000);
  // Main may also leave the others behind for good: then they go on.
  const test::child_end end = test::in_child([] {
    weft::run(
        [] {
          weft::go([] {
            weft::sleep_for(1s);
            std::_Exit(42);
          });
          weft::exit_fiber();
        },
        seeded(7));
  });
  CHECK(end.status == 42);
}

TEST_CASE("seed: a hog keeps its processor, and blocking runs in place", "[sched][os][SC-11]") {
  weft::run(
      [] {
        std::atomic<bool> others_run{false};
        weft::go([&] { others_run = true; });
        test::spin_for(100ms);  // without a seed it would be taken after 1 ms
        CHECK_FALSE(others_run);
        const std::thread::id mine = test::thread_now();
        CHECK(weft::blocking([&] {
          test::spin_for(20ms);
          return test::thread_now() == mine;
        }));
        CHECK_FALSE(others_run);
        weft::yield();
        CHECK(others_run);
      },
      seeded(9));
}
