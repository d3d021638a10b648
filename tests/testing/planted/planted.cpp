// Five known bugs, planted into a build of weft of its own: exploration finds each of them, within
// so many schedules.
#include "weft/base/planted.hpp"

#include <cstdio>
#include <string>

#include "support/catch.hpp"
#include "testing/scenarios.hpp"
#include "weft/testing.hpp"

namespace weft::inline WEFT_ABI::detail {

planted_bug planted_now = planted_bug::none;

}  // namespace weft::inline WEFT_ABI::detail

namespace {

using weft::detail::planted_bug;

void expect_found(planted_bug bug, const char* name, void (*body)(), unsigned bound) {
  for (const unsigned preemptions : {0U, 3U}) {
    const auto run = [&](unsigned schedules, std::uint64_t seed) {
      return weft::testing::explore(
          body, {.schedules = schedules, .seed = seed, .preemptions = preemptions, .quiet = true});
    };
    weft::detail::planted_now = planted_bug::none;
    const auto sound = run(bound, 1);
    INFO(name << ", preemptions " << preemptions << ": " << sound.what);
    CHECK(sound.ok);
    weft::detail::planted_now = bug;
    const auto found = run(bound, 1);
    CHECK_FALSE(found.ok);
    const auto repeated = run(1, found.failing_seed);
    weft::detail::planted_now = planted_bug::none;
    CHECK(repeated.schedule == found.schedule);
    const std::string what = found.what.substr(0, found.what.find('\n'));
    std::printf("planted: %s, %s: found by %u schedules: %s\n", name,
                preemptions == 0 ? "random walk" : "PCT", found.schedules_run, what.c_str());
  }
}

}  // namespace

TEST_CASE("planted: a lost wake-up is found", "[testing][unit]") {
  expect_found(planted_bug::lost_wake_up, "lost wake-up", test::scenario::mutex_excludes, 200);
}
TEST_CASE("planted: a double delivery is found", "[testing][unit]") {
  expect_found(planted_bug::double_delivery, "double delivery", test::scenario::select_delivers,
               200);
  expect_found(planted_bug::double_delivery, "double delivery, by the history",
               test::scenario::channel_history, 200);
}
TEST_CASE("planted: a wrong select claim is found", "[testing][unit]") {
  expect_found(planted_bug::wrong_select_claim, "wrong select claim",
               test::scenario::select_delivers, 200);
}
TEST_CASE("planted: a missed cancel is found", "[testing][unit]") {
  expect_found(planted_bug::missed_cancel, "missed cancel", test::scenario::context_reaches_all,
               200);
}
TEST_CASE("planted: a starved writer is found", "[testing][unit]") {
  expect_found(planted_bug::writer_starvation, "writer starvation",
               test::scenario::rw_mutex_lets_writers_in, 200);
}
