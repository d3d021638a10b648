// Glue for Catch2, version 2 and 3: test cases in bubbles, explorations and leaks as assertions.
#pragma once

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <source_location>
#include <utility>

#include "weft/testing.hpp"

/// @file
/// Catch2's assertions are not safe for concurrent use: of the fibers of a bubble one at a time may
/// make them; in doubt the first one.

/// A test case whose body runs as the first fiber of a bubble. A deadlock fails it with the dump of
/// the bubble's fibers.
#define WEFT_BUBBLE_TEST_CASE(...) \
  WEFT_BUBBLE_TEST_CASE_NAMED(INTERNAL_CATCH_UNIQUE_NAME(weft_bubble_test_case_), __VA_ARGS__)
/// How WEFT_BUBBLE_TEST_CASE is made, with the name of its function.
#define WEFT_BUBBLE_TEST_CASE_NAMED(name, ...)               \
  static void name();                                        \
  TEST_CASE(__VA_ARGS__) { ::weft::testing::bubble(&name); } \
  static void name()

/// Fails the test case, with the seed and the schedule, if a schedule of the callable fails.
#define WEFT_CHECK_EXPLORE(...)                                                      \
  do {                                                                               \
    const ::weft::testing::explore_result weft_explored =                            \
        ::weft::testing::catch_glue::explore(__VA_ARGS__);                           \
    INFO("seed " << weft_explored.failing_seed << ": " << weft_explored.what << "\n" \
                 << weft_explored.schedule);                                         \
    CHECK(weft_explored.ok);                                                         \
  } while (false)

/// Fails the test case, with their stacks, if there are fibers but the caller; takes what
/// find_leaks() takes.
#define WEFT_CHECK_NO_LEAKS(...)                                                              \
  do {                                                                                        \
    const ::weft::testing::leak_report weft_leaks = ::weft::testing::find_leaks(__VA_ARGS__); \
    INFO(to_string(weft_leaks));                                                              \
    CHECK(weft_leaks.fibers.empty());                                                         \
  } while (false)

namespace weft::inline WEFT_ABI::testing::catch_glue {

/// As weft::testing::explore, which prints nothing: the assertion does.
template <class F>
explore_result explore(F&& f, explore_options options = {},
                       std::source_location where = std::source_location::current()) {
  options.quiet = true;
  return testing::explore(std::forward<F>(f), options, where);
}

}  // namespace weft::inline WEFT_ABI::testing::catch_glue
