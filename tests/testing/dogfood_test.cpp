// weft's own primitives against reference models, under thousands of schedules.
#include <cstddef>

#include "support/catch.hpp"
#include "support/process.hpp"
#include "testing/scenarios.hpp"
#include "weft/testing_catch.hpp"

namespace {

// Under a random walk, and under PCT with few and with more changes.
void explore_all(void (*body)()) {
  const unsigned schedules = test::sanitized ? 50 : 1000;
  for (const unsigned preemptions : {0U, 2U, 5U}) {
    INFO("preemptions: " << preemptions);
    WEFT_CHECK_EXPLORE(body, {.schedules = schedules, .preemptions = preemptions});
  }
}

}  // namespace

TEST_CASE("explored: channels are linearizable", "[testing][unit]") {
  explore_all(test::scenario::channel_history);
}
TEST_CASE("explored: select delivers each value once", "[testing][unit]") {
  explore_all(test::scenario::select_delivers);
}
TEST_CASE("explored: the mutex excludes and forgets nobody", "[testing][unit]") {
  explore_all(test::scenario::mutex_excludes);
}
TEST_CASE("explored: the rw_mutex excludes", "[testing][unit]") {
  explore_all(test::scenario::rw_mutex_excludes);
}
TEST_CASE("explored: the rw_mutex lets waiting writers in", "[testing][unit]") {
  explore_all(test::scenario::rw_mutex_lets_writers_in);
}
TEST_CASE("explored: the semaphore counts", "[testing][unit]") {
  explore_all(test::scenario::semaphore_counts);
}
TEST_CASE("explored: conditions lose no signal", "[testing][unit]") {
  explore_all(test::scenario::cond_hands_over);
}
TEST_CASE("explored: the group joins all", "[testing][unit]") {
  explore_all(test::scenario::group_joins);
}
TEST_CASE("explored: a cancellation reaches all", "[testing][unit]") {
  explore_all(test::scenario::context_reaches_all);
}
TEST_CASE("explored: the timer keeps its word", "[testing][unit]") {
  explore_all(test::scenario::timer_keeps_its_word);
}
