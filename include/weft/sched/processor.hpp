// The processor: the right to run fibers, with its run queue, its timers and its caches.
//
// Model       A machine holds at most one processor, a processor is held by at most one machine.
//             `status` says by whom, and is the only word by which it changes hands without a lock:
//
//               idle            in the scheduler's idle list (scheduler lock)
//               running | m     machine m works with it
//               blocking | m    machine m is inside blocking(f); anyone may take it by one CAS
//               retired         beyond the number of processors; in no list
//
// Owner       everything but status, run_next, both queues and the timers belongs to the machine
//             that holds it, inside its bracket (sched/take_away.hpp); of an idle one to whoever
//             has the scheduler's lock; of a retired one to whoever is in set_procs.
// Order       of choice: run_next, the newest of those started here, the run queue. Both of the
//             first inherit the slice of the fiber that readied or started them.
// run_next    the fiber made ready last, run before the queue, within the time slice of the one
//             that readied it. A thief takes it in its last round only, when no queue has anything
//             (scheduler::steal_work).
// Order       pair processor.status: whoever gives the processor away releases -> whoever takes it
//             acquires: the queues and caches are visible.
//             pair processor.run_next: the owner releases -> a thief acquires the fiber.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/stack.hpp"
#include "weft/base/random.hpp"
#include "weft/sched/fiber.hpp"
#include "weft/sched/run_queue.hpp"
#include "weft/sched/spawn_deque.hpp"
#include "weft/sched/timer_heap.hpp"

namespace weft::inline WEFT_ABI::detail {

struct machine;

struct processor {
  explicit processor(unsigned number) noexcept : id(number) {}

  enum : std::uint32_t { idle = 0, running = 1, blocking = 2, retired = 3 };
  static constexpr std::uint32_t word(std::uint32_t state, std::uint32_t machine_id) noexcept {
    return machine_id << 2U | state;
  }

  const unsigned id;
  untold_atomic<std::uint32_t> status{idle};
  processor* next_idle = nullptr;  // scheduler lock
  atomic<machine*> holder{nullptr};

  run_queue<fiber> queue;
  spawn_deque<fiber> started;
  untold_atomic<fiber*> run_next{nullptr};
  timer_heap timers;

  // Counts choices of a fiber; every 61st looks at the global queue, the timers and the poller, so
  // that a busy local queue starves none of them. Written by the owner; sysmon samples it.
  atomic<std::uint32_t> picks{0};
  void count_pick() noexcept {
    picks.store(picks.load(relaxed) + 1, relaxed);  // relaxed: owner
  }
  [[nodiscard]] bool is_time_to_look_around() const noexcept {
    return picks.load(relaxed) % look_around_period == 0;  // relaxed: as above
  }
  // A prime, as in Go: no pattern of the program falls in step with it.
  static constexpr std::uint32_t look_around_period = 61;
  // Grows when a new time slice begins; sysmon samples it.
  atomic<std::uint32_t> slice{0};
  std::uint32_t inherited = 0;  // choices in a row of run_next or of who was started here

  // Caches.
  fiber_chain records;
  std::uint64_t next_id = 0;
  std::uint64_t id_end = 0;
  static constexpr std::size_t stack_cache = 64;
  std::array<stack, stack_cache> stacks;
  // Whoever may touch the caches; whoever counts stacks in use samples it.
  atomic<std::size_t> stack_count{0};
  [[nodiscard]] std::size_t cached_stacks() const noexcept {
    return stack_count.load(relaxed);  // relaxed: the owner's, or a sample
  }
  void set_cached_stacks(std::size_t n) noexcept {
    stack_count.store(n, relaxed);  // relaxed: the owner's
  }

  // Fibers that were created, and that ended, here; num_fibers adds them up.
  atomic<std::uint64_t> created{0};
  untold_atomic<std::uint64_t> ended{0};
  random_source random;

  // sysmon's own.
  std::uint32_t seen_slice = 0;
  std::int64_t seen_since = 0;
  std::uint32_t seen_picks = 0;
  bool is_stuck = false;            // no fiber was chosen between the last two looks
  std::uint32_t asked = 0;          // the number of the request under way, 0: none
  std::uint32_t seen_blocking = 0;  // the status of a blocking call seen at the last look

  [[nodiscard]] bool has_work() const noexcept {
    // relaxed: a hint for whoever is about to sleep, re-checked behind a fence
    return run_next.load(relaxed) != nullptr || !queue.empty() || !started.empty();
  }
};

}  // namespace weft::inline WEFT_ABI::detail
