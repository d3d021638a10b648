// One wait and its claims: who wins, and what park does when a source fires before it.
#include "weft/sched/waiter.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/cancel_source.hpp"

using test::kind;
using test::task;
using weft::detail::cancel_source;
using weft::detail::claim;
using weft::detail::lock_guard;
using weft::detail::multi_wait;
using weft::detail::now_ns;
using weft::detail::pop_claimed;
using weft::detail::spinlock;
using weft::detail::wait_list;
using weft::detail::wait_reason;
using weft::detail::wait_state;
using weft::detail::waiter;

namespace {

constexpr std::uint32_t by_list = 0;
constexpr std::uint32_t by_cancel = 1;
constexpr std::uint32_t by_deadline = 2;
constexpr std::uint32_t elsewhere = 7;

// A source that delivers, as a channel does: a list under a lock.
struct waiters {
  spinlock lock;
  wait_list list;

  void enrol(waiter& place) {
    place.guard = &lock;
    place.index = by_list;
    list.push_back(place);
  }
  [[nodiscard]] bool is_empty() {
    lock_guard held(lock);
    return list.empty();
  }
  // Lets the first one that can be claimed proceed. False: there is none.
  bool wake_one() {
    waiter* w = nullptr;
    {
      lock_guard held(lock);
      w = pop_claimed(list);
      if (w == nullptr) return false;
      w->ok = true;
    }
    w->state->wake();
    return true;
  }
};

// A park commit that counts its runs.
void count_run(void* counter) noexcept { ++*static_cast<int*>(counter); }

// Runs `body(expectations)` in a fiber and on a plain thread, with each number of processors.
template <class F>
void in_both_kinds(F body) {
  test::run_with_procs([&] {
    for (const kind k : test::both_kinds) {
      INFO(test::name_of(k));
      test::expectations e;
      task t(k, [&] { body(e); });
      t.join();
      CHECK(e.failures() == "");
    }
  });
}

}  // namespace

TEST_CASE("waiter I1: a wait that was claimed before its owner parks is claimed no more",
          "[sched][unit]") {
  in_both_kinds([](test::expectations& e) {
    multi_wait wait(wait_reason::select, nullptr, 0);
    e.that(!wait.is_claimed() && wait.claimed_index() == wait_state::no_index, "it is new");
    e.that(wait.try_claim(elsewhere) == claim::running, "the owner is told to be running");
    e.that(wait.try_claim(by_list) == claim::lost, "a second source loses");
    e.that(wait.try_claim(elsewhere) == claim::lost, "so does the first one");
    e.that(wait.is_claimed(), "it says so");
    int commits = 0;
    e.that(wait.park(count_run, &commits) == elsewhere, "park tells the first source");
    e.that(commits == 1, "the commit ran once");
    e.that(wait.try_claim(by_list) == claim::lost, "afterwards all lose");
    e.that(wait.claimed_index() == elsewhere, "the index stays");
  });
}

TEST_CASE("waiter I1: of several sources that find a parked wait one wins", "[sched][unit]") {
  test::run_with_procs([] {
    for (const kind k : test::both_kinds) {
      INFO(test::name_of(k));
      waiters here;
      cancel_source cancel;
      std::uint32_t index = elsewhere;
      task t(k, [&] {
        waiter place;
        multi_wait wait(wait_reason::select, &place, 1);
        if (!wait.watch(cancel, by_cancel)) return;
        here.lock.lock();
        here.enrol(place);
        index = wait.park(here.lock);
      });
      t.until_blocked();
      waiter* w = nullptr;
      claim claims[3];
      {
        lock_guard held(here.lock);
        w = here.list.pop_front();
        REQUIRE(w != nullptr);
        claims[0] = w->state->try_claim(by_list);
        claims[1] = w->state->try_claim(by_list);
        claims[2] = w->state->try_claim(by_deadline);
      }
      CHECK(claims[0] == claim::parked);
      CHECK(claims[1] == claim::lost);
      CHECK(claims[2] == claim::lost);
      CHECK(cancel.fire());  // loses, and does not wake it
      CHECK(w->state->claimed_index() == by_list);
      for (int i = 0; i < 20; ++i) weft::yield();
      CHECK_FALSE(t.is_done());
      w->state->wake();
      t.join();
      CHECK(index == by_list);
    }
  });
}

TEST_CASE("waiter I1: a single wait is claimed by whoever takes it off its list", "[sched][unit]") {
  test::run_with_procs([] {
    for (const kind k : test::both_kinds) {
      INFO(test::name_of(k));
      waiters here;
      std::uint32_t index = 0;
      bool ok = false;
      task t(k, [&] {
        waiter place;
        wait_state wait(wait_state::kind::single, wait_reason::chan_receive, &place, 1);
        here.lock.lock();
        here.enrol(place);
        index = wait.park(here.lock);
        ok = place.ok;
      });
      t.until_blocked("chan receive");
      CHECK(here.wake_one());
      CHECK_FALSE(here.wake_one());
      t.join();
      CHECK(index == wait_state::no_index);
      CHECK(ok);
    }
  });
}

TEST_CASE("waiter: a source that fires while the owner arms ends its park at once",
          "[sched][unit]") {
  in_both_kinds([](test::expectations& e) {
    waiters here;
    cancel_source cancel;
    {
      waiter place;
      multi_wait wait(wait_reason::select, &place, 1);
      e.that(wait.watch(cancel, by_cancel), "it has not fired");
      e.that(cancel.fire(), "now it has");
      here.lock.lock();
      here.enrol(place);
      e.that(wait.park(here.lock) == by_cancel, "park tells it");
      e.that(!here.lock.is_locked_for_testing(), "the commit has released the lock");
      e.that(!here.wake_one(), "the place that is left is passed over");
      e.that(!place.ok, "nothing was delivered");
    }
    e.that(here.is_empty(), "no place is left");
    multi_wait later(wait_reason::select, nullptr, 0);
    e.that(!later.watch(cancel, by_cancel), "what has fired is not watched");
  });
}

TEST_CASE("waiter: one that gives up is taken off all its lists", "[sched][unit]") {
  in_both_kinds([](test::expectations& e) {
    waiters here;
    waiters there;
    auto cancel = std::make_unique<cancel_source>();
    {
      waiter places[2];
      multi_wait wait(wait_reason::select, places, 2);
      e.that(wait.watch(*cancel, by_cancel), "it has not fired");
      wait.arm_deadline(now_ns() - 1, by_deadline);
      {
        lock_guard held(there.lock);
        there.enrol(places[1]);
      }
      here.lock.lock();
      here.enrol(places[0]);
      e.that(wait.park(here.lock) == by_deadline, "the deadline has passed");
      wait.detach();
      e.that(here.is_empty() && there.is_empty(), "after detach no list has it");
      wait.detach();
    }
    e.that(cancel->fire(), "it meets no place of a wait that is gone");
  });
}

TEST_CASE("waiter: one that never parks is taken off all its lists too", "[sched][unit]") {
  in_both_kinds([](test::expectations& e) {
    waiters here;
    cancel_source cancel;
    {
      waiter place;
      multi_wait wait(wait_reason::select, &place, 1);
      e.that(wait.watch(cancel, by_cancel), "it has not fired");
      wait.arm_deadline(now_ns() + 3'600'000'000'000, by_deadline);
      lock_guard held(here.lock);
      here.enrol(place);
      place.unlink();
    }
    e.that(here.is_empty(), "no place is left");
    e.that(cancel.fire(), "nor here");
  });
}

TEST_CASE("waiter: of a deadline and a cancellation that come while the owner arms one counts",
          "[sched][unit]") {
  in_both_kinds([](test::expectations& e) {
    for (int i = 0; i < 50; ++i) {
      cancel_source cancel;
      multi_wait wait(wait_reason::select, nullptr, 0);
      e.that(wait.watch(cancel, by_cancel), "it has not fired");
      wait.arm_deadline(now_ns() - 1, by_deadline);
      if (i % 2 == 0) test::relax();  // the deadline fires here, where the owner is a fiber
      e.that(cancel.fire(), "it fires once");
      int commits = 0;
      const std::uint32_t index = wait.park(count_run, &commits);
      e.that(index == by_cancel || index == by_deadline, "one of the two");
      e.that(index == wait.claimed_index() && commits == 1, "and that one only");
    }
  });
}

TEST_CASE("waiter: stale places are dropped where a claim looks for somebody", "[sched][unit]") {
  test::run_with_procs([] {
    waiters here;
    waiter stale_place;
    multi_wait stale(wait_reason::select, &stale_place, 1);
    bool ok = false;
    {
      lock_guard held(here.lock);
      here.enrol(stale_place);
      CHECK(has_unclaimed(here.list));
    }
    CHECK(stale.try_claim(elsewhere) == claim::running);
    task t(kind::fiber, [&] {
      waiter place;
      multi_wait wait(wait_reason::select, &place, 1);
      here.lock.lock();
      here.enrol(place);
      wait.park(here.lock);
      ok = place.ok;
    });
    t.until_blocked();
    {
      lock_guard held(here.lock);
      CHECK(has_unclaimed(here.list));
    }
    CHECK_FALSE(stale_place.is_linked());
    CHECK(here.wake_one());
    t.join();
    CHECK(ok);
    lock_guard held(here.lock);
    CHECK_FALSE(has_unclaimed(here.list));
  });
}

TEST_CASE("waiter I1: of sources that claim at the same time, while the owner parks, one wins",
          "[sched][stress]") {
  test::run_with_procs([] {
    constexpr int rounds = test::sanitized ? 40 : 300;
    constexpr std::uint32_t sources = 3;
    wait_state* wait_of_round = nullptr;
    std::atomic<int> round{0};
    std::atomic<std::uint32_t> tries{0};
    test::tally won;
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < sources; ++i) {
      threads.emplace_back([&, i] {
        for (int r = 1; r <= rounds; ++r) {
          while (round.load() != r) std::this_thread::yield();
          wait_state& wait = *wait_of_round;
          const claim c = wait.try_claim(i);
          if (c != claim::lost) won.add();
          // The wait lives until all have tried, and one that was parked until it is woken.
          tries.fetch_add(1);
          if (c == claim::parked) wait.wake();
        }
      });
    }
    for (int r = 1; r <= rounds; ++r) {
      multi_wait wait(wait_reason::select, nullptr, 0);
      wait_of_round = &wait;
      round.store(r);
      int commits = 0;
      const std::uint32_t index = wait.park(count_run, &commits);
      REQUIRE(index < sources);
      REQUIRE(commits == 1);
      while (tries.load() != sources) weft::yield();
      tries.store(0);
      REQUIRE(won.count() == r);
    }
    for (std::thread& t : threads) t.join();
  });
}
