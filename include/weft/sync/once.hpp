// The core of once: one function runs, everybody else waits for its end.
//
// Model       word: fresh -> running -> done. Who moves fresh to running runs the function; its
//             end, however it comes (return, exception, exit of the fiber), stores done and wakes
//             the queue. Done is for ever.
// Invariants  I1 nobody returns before the run has ended            (stress test "once I1")
// Locks       rank sync for the queue's lock.
// Order       pair once.word: the end of the run releases -> every other call acquires: the effects
//             of the function are visible.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/owner_mark.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/lock_check.hpp"
#include "weft/sync/wait.hpp"

namespace weft::inline WEFT_ABI::detail {

class once_core {
 public:
  constexpr once_core() noexcept = default;
  once_core(const once_core&) = delete;
  once_core& operator=(const once_core&) = delete;

  [[nodiscard]] bool is_done() const noexcept {
    return word_.load(acquire) == done;  // pairs: once.word
  }

  // True: the caller is to run the function, then to call finish(). False: it has run.
  [[nodiscard]] bool begin();
  void finish() noexcept;

 private:
  class attempt;

  static constexpr std::uint32_t fresh = 0;
  static constexpr std::uint32_t running = 1;
  static constexpr std::uint32_t done = 2;

  owner_mark runner_;  // the first: a report tells the once by its address
  atomic<std::uint32_t> word_{fresh};
  spinlock queue_lock_;
  task_queue queue_{"once"};  // guarded by queue_lock_
};

// Ends a run of the once on every way out.
class once_run {
 public:
  explicit once_run(once_core& o) noexcept : o_(o) {}
  ~once_run() { o_.finish(); }
  once_run(const once_run&) = delete;
  once_run& operator=(const once_run&) = delete;

 private:
  once_core& o_;
};

}  // namespace weft::inline WEFT_ABI::detail
