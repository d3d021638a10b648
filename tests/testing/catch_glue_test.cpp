// The glue for Catch2: what its macros make of bubbles, explorations and leaks.
#include <chrono>
#include <stdexcept>

#include "support/catch.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/testing_catch.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

void race() {
  int n = 0;
  auto other = weft::spawn([&] {
    weft::yield();
    n = 1;
  });
  weft::yield();
  if (n != 0) throw std::runtime_error("the other was first");
}

}  // namespace

WEFT_BUBBLE_TEST_CASE("catch glue: a test case in a bubble", "[testing][unit]") {
  const auto start = weft::clock::now();
  weft::sleep_for(24h);
  CHECK(weft::clock::now() == start + 24h);
}

WEFT_BUBBLE_TEST_CASE("catch glue: a second one in the same file", "[testing][unit]") {
  weft::testing::wait();
  SUCCEED();
}

WEFT_BUBBLE_TEST_CASE("catch glue: a deadlock fails it", "[testing][unit][!shouldfail]") {
  (void)weft::chan<int>().recv();
}

TEST_CASE("catch glue: schedules that pass", "[testing][unit]") {
  WEFT_CHECK_EXPLORE([] { weft::spawn([] {}).join(); }, {.schedules = 20});
  WEFT_CHECK_EXPLORE([] {});
}

TEST_CASE("catch glue: a schedule that fails", "[testing][unit][!shouldfail]") {
  WEFT_CHECK_EXPLORE(race, {.schedules = 100});
}

TEST_CASE("catch glue: no leaks", "[testing][unit]") {
  weft::run([] {
    weft::go([] {});
    WEFT_CHECK_NO_LEAKS();
  });
}

WEFT_BUBBLE_TEST_CASE("catch glue: a leak", "[testing][unit][!shouldfail]") {
  const weft::chan<int> ch = weft::make_chan<int>();
  weft::go([ch] { (void)ch.recv(); });
  WEFT_CHECK_NO_LEAKS();
  ch.close();
}
