// The waitable core of a context: firing once, and the waits that it ends.
#include "weft/sched/cancel_source.hpp"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/runtime.hpp"

using weft::detail::cancel_source;
using weft::detail::multi_wait;
using weft::detail::wait_reason;

namespace {

constexpr std::uint32_t by_cancel = 3;

void commit_nothing(void*) noexcept {}

// Watches and parks; true: it was enrolled, and woken by the source.
bool wait_for(cancel_source& source) {
  multi_wait wait(wait_reason::context_wait, nullptr, 0);
  if (!wait.watch(source, by_cancel)) return false;
  return wait.park(commit_nothing, nullptr) == by_cancel;
}

}  // namespace

TEST_CASE("cancel_source I1: firing ends every wait that watches, and later ones do not begin",
          "[sched][unit]") {
  test::run_with_procs([] {
    cancel_source source;
    std::vector<test::task> tasks;
    test::tally woken;
    for (const test::kind k : {test::kind::fiber, test::kind::fiber, test::kind::thread}) {
      tasks.emplace_back(k, [&] { woken.add(wait_for(source) ? 1 : 0); });
    }
    for (test::task& t : tasks) t.until_blocked();
    CHECK_FALSE(source.is_fired());
    CHECK(source.fire());
    CHECK(source.is_fired());
    test::join(tasks);
    CHECK(woken.count() == 3);
    CHECK_FALSE(wait_for(source));
  });
}

TEST_CASE("cancel_source: of many calls of fire one fires", "[sched][unit]") {
  test::run_with_procs([] {
    cancel_source source;
    test::tally fired;
    std::vector<test::task> tasks;
    for (int i = 0; i < 8; ++i) {
      tasks.emplace_back(i % 4 == 0 ? test::kind::thread : test::kind::fiber,
                         [&] { fired.add(source.fire() ? 1 : 0); });
    }
    test::join(tasks);
    CHECK(fired.count() == 1);
  });
}

TEST_CASE("cancel_source: a wait that ends otherwise leaves the list", "[sched][unit]") {
  test::run_with_procs([] {
    cancel_source source;
    for (int i = 0; i < 100; ++i) {
      multi_wait wait(wait_reason::sleep, nullptr, 0);
      REQUIRE(wait.watch(source, by_cancel));
      wait.arm_deadline(weft::detail::now_ns(), 1);
      REQUIRE(wait.park(commit_nothing, nullptr) == 1);
    }
    CHECK(source.fire());
  });
}

TEST_CASE("cancel_source: firing while waits enrol, park and end loses none", "[sched][stress]") {
  test::run_with_procs([](unsigned procs) {
    constexpr int rounds = 400;
    constexpr int waits = 8;
    for (int round = 0; round < rounds; ++round) {
      auto source = std::make_unique<cancel_source>();
      test::tally ended;
      std::vector<test::task> tasks;
      for (int i = 0; i < waits; ++i) {
        tasks.emplace_back(test::kind::fiber, [&] {
          static_cast<void>(wait_for(*source));
          ended.add();
        });
      }
      if (round % 2 == 0 && procs > 1) weft::yield();
      CHECK(source->fire());
      test::join(tasks);
      CHECK(ended.count() == waits);
    }
  });
}
