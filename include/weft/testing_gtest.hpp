// Glue for GoogleTest: tests in bubbles, explorations and leaks as assertions.
#pragma once

#include <gtest/gtest.h>

#include <source_location>
#include <utility>

#include "weft/testing.hpp"

/// A test whose body runs as the first fiber of a bubble. A deadlock fails it with the dump of the
/// bubble's fibers. A fatal assertion returns from the body only, as everywhere.
#define WEFT_BUBBLE_TEST(suite, name)                                                \
  static void weft_bubble_test_##suite##_##name();                                   \
  TEST(suite, name) { ::weft::testing::bubble(&weft_bubble_test_##suite##_##name); } \
  static void weft_bubble_test_##suite##_##name()

/// Fails the test, with the seed and the schedule, if a schedule of the callable fails.
#define WEFT_EXPECT_EXPLORE(...) EXPECT_TRUE(::weft::testing::gtest_glue::explore(__VA_ARGS__))

/// Fails the test, with their stacks, if there are fibers but the caller; takes what find_leaks()
/// takes.
#define WEFT_EXPECT_NO_LEAKS(...) \
  EXPECT_TRUE(::weft::testing::gtest_glue::no_leaks(::weft::testing::find_leaks(__VA_ARGS__)))

namespace weft::inline WEFT_ABI::testing::gtest_glue {

/// As weft::testing::explore, which prints nothing: the assertion does.
template <class F>
::testing::AssertionResult explore(F&& f, explore_options options = {},
                                   std::source_location where = std::source_location::current()) {
  options.quiet = true;
  const explore_result r = testing::explore(std::forward<F>(f), options, where);
  if (r.ok) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "seed " << r.failing_seed << ": " << r.what << "\n"
                                       << r.schedule;
}

/// Whether there are none.
inline ::testing::AssertionResult no_leaks(const leak_report& leaks) {
  if (leaks.fibers.empty()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << to_string(leaks);
}

}  // namespace weft::inline WEFT_ABI::testing::gtest_glue
