// Parking and making ready: two fibers of one processor that wake one another, and one that yields.
//
// Not measured: waking another machine, and what a channel or a lock adds.
// Noise: some 5 %.
#include <benchmark/benchmark.h>

#include <cstdint>

#include "weft/arch/spinlock.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/waiter.hpp"
#include "weft/sync.hpp"

using weft::detail::lock_guard;
using weft::detail::wait_list;
using weft::detail::wait_state;
using weft::detail::waiter;

namespace {

constexpr weft::options one_processor{.procs = 1};

// A list with a lock: the least that a blocking operation is made of.
class place_to_wait {
 public:
  void park() {
    waiter place;
    wait_state wait(wait_state::kind::single, weft::detail::wait_reason::cond_wait, &place, 1);
    place.guard = &lock_;
    lock_.lock();
    waiters_.push_back(place);
    wait.park(lock_);
  }
  // False: nobody waits.
  bool wake_one() {
    waiter* first = nullptr;
    {
      const lock_guard held(lock_);
      first = weft::detail::pop_claimed(waiters_);
    }
    if (first == nullptr) return false;
    first->state->wake();
    return true;
  }

 private:
  weft::detail::spinlock lock_;
  wait_list waiters_;
};

void park_ready(benchmark::State& state) {
  weft::run(
      [&state] {
        place_to_wait here;
        place_to_wait there;
        bool over = false;
        std::int64_t visits = 0;
        weft::wait_group other;
        other.go([&] {
          there.park();
          while (!over) {
            ++visits;
            here.wake_one();
            there.park();
          }
        });
        weft::yield();
        std::int64_t rounds = 0;
        for (auto _ : state) {
          if (!there.wake_one()) state.SkipWithError("the other does not wait");
          here.park();
          if (++rounds != visits) state.SkipWithError("woken by nobody");
        }
        over = true;
        there.wake_one();
        other.wait();
        state.SetItemsProcessed(2 * rounds);
      },
      one_processor);
}

void yield(benchmark::State& state) {
  weft::run(
      [&state] {
        bool over = false;
        std::int64_t turns = 0;
        weft::wait_group other;
        other.go([&] {
          while (!over) {
            ++turns;
            weft::yield();
          }
        });
        std::int64_t rounds = 0;
        for (auto _ : state) {
          weft::yield();
          ++rounds;
        }
        if (turns + 1 < rounds) state.SkipWithError("the other had no turn");
        over = true;
        other.wait();
        state.SetItemsProcessed(2 * rounds);
      },
      one_processor);
}

}  // namespace

BENCHMARK(park_ready)->Name("park/wake_other_and_park/p:1")->UseRealTime();
BENCHMARK(yield)->Name("park/yield/p:1")->UseRealTime();
BENCHMARK_MAIN();
