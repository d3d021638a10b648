// Parking and making ready: two fibers of one processor that wake one another, and one that yields.
//
// Not measured: waking another machine, and what a channel or a lock adds.
// Noise: some 5 %.
#include <benchmark/benchmark.h>

#include <atomic>
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

// A list with a lock: the least that a blocking operation is made of. A wake-up that comes before
// its waiter is kept: whoever woke may lose its processor before it parks itself.
class place_to_wait {
 public:
  void park() {
    waiter place;
    wait_state wait(wait_state::kind::single, weft::detail::wait_reason::cond_wait, &place, 1);
    place.guard = &lock_;
    lock_.lock();
    if (woken_) {
      woken_ = false;
      lock_.unlock();
      return;
    }
    waiters_.push_back(place);
    wait.park(lock_);
  }
  void wake() {
    waiter* first = nullptr;
    {
      const lock_guard held(lock_);
      first = weft::detail::pop_claimed(waiters_);
      woken_ = first == nullptr;
    }
    if (first != nullptr) first->state->wake();
  }

 private:
  weft::detail::spinlock lock_;
  wait_list waiters_;   // guarded by lock_
  bool woken_ = false;  // likewise
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
            here.wake();
            there.park();
          }
        });
        std::int64_t rounds = 0;
        for (auto _ : state) {
          there.wake();
          here.park();
          if (++rounds != visits) state.SkipWithError("woken by nobody");
        }
        over = true;
        there.wake();
        other.wait();
        state.SetItemsProcessed(2 * rounds);
      },
      one_processor);
}

void yield(benchmark::State& state) {
  weft::run(
      [&state] {
        std::atomic<bool> over{false};
        std::atomic<std::int64_t> turns{0};
        weft::wait_group other;
        other.go([&] {
          while (!over.load(std::memory_order_relaxed)) {
            turns.store(turns.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
            weft::yield();
          }
        });
        std::int64_t rounds = 0;
        for (auto _ : state) {
          weft::yield();
          ++rounds;
        }
        // How many depends on the system too: it may stop the thread of the other one for a while.
        if (turns == 0) state.SkipWithError("the other had no turn");
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
