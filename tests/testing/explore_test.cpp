// Exploring: many schedules, one for each seed, and the failing one told and repeated.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/testing.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;
using weft::testing::explore;
using weft::testing::explore_options;

explore_options quiet(unsigned schedules, std::uint64_t seed = 1, unsigned preemptions = 0) {
  return {.schedules = schedules, .seed = seed, .preemptions = preemptions, .quiet = true};
}

// Two fibers count up under a lock that they give up between reading and writing.
void lose_an_update() {
  weft::mutex m;
  int n = 0;
  const auto count = [&] {
    m.lock();
    const int seen = n;
    m.unlock();
    m.lock();
    n = seen + 1;
    m.unlock();
  };
  auto other = weft::spawn(count);
  count();
  other.join();
  if (n != 2) throw std::runtime_error("an update is lost: " + std::to_string(n));
}

// Two locks in both orders.
void lock_in_both_orders() {
  weft::mutex a;
  weft::mutex b;
  auto other = weft::spawn([&] {
    b.lock();
    a.lock();
    a.unlock();
    b.unlock();
  });
  a.lock();
  b.lock();
  b.unlock();
  a.unlock();
}

}  // namespace

TEST_CASE("explore: a lost update is found, by a walk and by PCT", "[testing][unit]") {
  for (const unsigned preemptions : {0U, 1U, 2U, 3U}) {
    INFO("preemptions: " << preemptions);
    // From one place: the schedule names it.
    const auto explore_from = [&](unsigned schedules, std::uint64_t seed) {
      return explore(lose_an_update, quiet(schedules, seed, preemptions));
    };
    const auto found = explore_from(500, 1);
    CHECK_FALSE(found.ok);
    CHECK(found.what == "an update is lost: 1");
    CHECK(found.schedules_run <= 200);
    CHECK(found.failing_seed == found.schedules_run);
    // The seed alone repeats it, and so does the schedule's text.
    for (int again = 0; again < 3; ++again) {
      const auto repeated = explore_from(1, found.failing_seed);
      CHECK_FALSE(repeated.ok);
      CHECK(repeated.schedules_run == 1);
      CHECK(repeated.what == found.what);
      CHECK(repeated.schedule == found.schedule);
    }
  }
}

TEST_CASE("explore: the schedule tells who ran and where it stopped", "[testing][unit]") {
  const auto found = explore(lose_an_update, quiet(500));
  REQUIRE_FALSE(found.ok);
  INFO(found.schedule);
  CHECK(found.schedule.rfind("1. fiber 0 (explore_test.cpp:", 0) == 0);
  CHECK(found.schedule.find("fiber 1 (explore_test.cpp:") != std::string::npos);
  CHECK(found.schedule.find("; preempted in ") != std::string::npos);
  CHECK(found.schedule.find("lose_an_update()") != std::string::npos);
  CHECK(found.schedule.find("; ends") != std::string::npos);
}

TEST_CASE("explore: a deadlock is a failure, told with its dump", "[testing][unit]") {
  const auto explore_from = [](unsigned schedules, std::uint64_t seed) {
    return explore(lock_in_both_orders, quiet(schedules, seed));
  };
  const auto found = explore_from(500, 1);
  CHECK_FALSE(found.ok);
  CHECK(found.what.find("all fibers are asleep - deadlock!") == 0);
  CHECK(found.what.find("wait-for cycle") != std::string::npos);
  CHECK(found.schedule.find("blocked: sync.Mutex.Lock") != std::string::npos);
  const auto repeated = explore_from(1, found.failing_seed);
  CHECK_FALSE(repeated.ok);
  CHECK(repeated.schedule == found.schedule);
}

TEST_CASE("explore: what is right passes all schedules", "[testing][unit]") {
  unsigned runs = 0;
  const auto count_up = [&] {
    ++runs;
    weft::mutex m;
    int n = 0;
    const auto count = [&] {
      const std::lock_guard held(m);
      ++n;
    };
    auto other = weft::spawn(count);
    count();
    other.join();
    if (n != 2) throw std::runtime_error("an update is lost");
  };
  const auto result = explore(count_up, quiet(300));
  CHECK(result.ok);
  CHECK(result.schedules_run == 300);
  CHECK(result.what.empty());
  CHECK(result.schedule.empty());
  CHECK(runs == 300);
}

TEST_CASE("explore: each order of three fibers occurs", "[testing][unit]") {
  std::set<std::vector<int>> orders;
  const auto result = explore(
      [&] {
        std::vector<int> order;
        {
          std::vector<weft::join_handle<void>> all;
          for (int i = 0; i < 3; ++i) all.push_back(weft::spawn([&, i] { order.push_back(i); }));
        }
        orders.insert(order);
      },
      quiet(200));
  CHECK(result.ok);
  CHECK(orders.size() == 6);
}

TEST_CASE("explore: fibers switch at calls that never park", "[testing][unit]") {
  // Nothing here parks but the join.
  const auto check_then_act = [] {
    weft::chan<int> ch = weft::make_chan<int>(1);
    int closes = 0;
    const auto close_once = [&] {
      if (closes != 0) return;
      (void)ch.try_send(1);
      ++closes;
    };
    auto other = weft::spawn(close_once);
    close_once();
    other.join();
    if (closes != 1) throw std::runtime_error("closed twice");
  };
  CHECK_FALSE(explore(check_then_act, quiet(200)).ok);
}

TEST_CASE("explore: time is virtual, also in a bubble", "[testing][unit]") {
  const auto result = explore(
      [] {
        weft::sleep_for(1h);
        weft::testing::bubble([] {
          auto other = weft::spawn([] { weft::sleep_for(2h); });
          weft::sleep_for(1h);
          weft::testing::wait();
        });
      },
      quiet(50));
  INFO(result.what);
  CHECK(result.ok);
}

TEST_CASE("explore: PCT is fair to those that spin", "[testing][unit]") {
  const auto result = explore(
      [] {
        bool done = false;
        auto other = weft::spawn([&] { done = true; });
        while (!done) weft::yield();
      },
      quiet(50, 1, 2));
  CHECK(result.ok);
}

TEST_CASE("explore: from a fiber", "[testing][unit]") {
  test::run_with_procs([] {
    CHECK_FALSE(explore(lose_an_update, quiet(500)).ok);
    CHECK(explore([] {}, quiet(5)).ok);
  });
}

TEST_CASE("explore: a body that depends on something else is told so", "[testing][unit]") {
  int runs = 0;
  const auto result = explore(
      [&] {
        if (++runs == 3) throw std::runtime_error("the third");
      },
      quiet(10));
  CHECK_FALSE(result.ok);
  CHECK(result.failing_seed == 3);
  CHECK(result.schedule.find("did not fail") != std::string::npos);
}

TEST_CASE("explore: what is left blocked behind main is unwound", "[testing][unit]") {
  std::atomic<int> destroyed{0};
  const auto result = explore(
      [&] {
        weft::chan<int> ch = weft::make_chan<int>();
        weft::go([ch, &destroyed] {
          const test::sentinel counts(destroyed);
          (void)ch.recv();
        });
        weft::sleep_for(1s);
      },
      quiet(20));
  CHECK(result.ok);
  CHECK(destroyed == 20);
}
