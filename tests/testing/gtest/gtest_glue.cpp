// The glue for GoogleTest: what its macros make of bubbles, explorations and leaks.
#include <gtest/gtest-spi.h>

#include <chrono>
#include <stdexcept>

#include "weft/chan.hpp"
#include "weft/error.hpp"
#include "weft/runtime.hpp"
#include "weft/testing_gtest.hpp"
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

WEFT_BUBBLE_TEST(gtest_glue, runs_in_a_bubble) {
  const auto start = weft::clock::now();
  weft::sleep_for(24h);
  EXPECT_EQ(weft::clock::now() - start, 24h);
  weft::testing::wait();
}

TEST(gtest_glue, a_deadlock_is_thrown) {
  EXPECT_THROW(weft::testing::bubble([] { (void)weft::chan<int>().recv(); }), weft::deadlock_error);
}

TEST(gtest_glue, schedules_that_pass) {
  WEFT_EXPECT_EXPLORE([] { weft::spawn([] {}).join(); }, {.schedules = 20});
}

TEST(gtest_glue, a_schedule_that_fails_is_told) {
  EXPECT_NONFATAL_FAILURE(WEFT_EXPECT_EXPLORE(&race, {.schedules = 100}), "the other was first");
}

WEFT_BUBBLE_TEST(gtest_glue, a_leak_is_told) {
  WEFT_EXPECT_NO_LEAKS();
  const weft::chan<int> ch = weft::make_chan<int>();
  weft::go([ch] { (void)ch.recv(); });
  EXPECT_FALSE(weft::testing::gtest_glue::no_leaks(weft::testing::find_leaks()));
  ch.close();
}
