// The core of a barrier: a phase ends when as many have arrived as it expects.
//
// Model       Under the lock: `arrived` of `expected` in this phase. The last arrival closes the
//             phase, runs the completion without the lock, then opens the next phase and wakes the
//             queue. An arrival that gives up before the phase is closed takes itself off the
//             count; afterwards it waits on to the end of the phase, which is near.
// Invariants  I1 who waits in a phase is released before the next one can end
//                                                                   (stress test "barrier I1")
// Locks       rank sync; the completion runs without it.
#pragma once

#include <cstddef>

#include "weft/arch/spinlock.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/lock_check.hpp"
#include "weft/sync/wait.hpp"

namespace weft::inline WEFT_ABI::detail {

class barrier_core {
 public:
  explicit barrier_core(std::ptrdiff_t expected);
  barrier_core(const barrier_core&) = delete;
  barrier_core& operator=(const barrier_core&) = delete;

  enum class arrival : unsigned char {
    released,  // waited, and the phase has ended
    last,      // the caller is to run the completion, then to call end_phase()
    gave_up,   // a limit ended the wait; the arrival does not count
  };

  [[nodiscard]] arrival arrive_and_wait(const wait_limits& limits);
  // Without waiting; true: as arrival::last.
  [[nodiscard]] bool arrive_and_drop();
  void end_phase() noexcept;

 private:
  class attempt;

  [[nodiscard]] bool count_arrival() noexcept;
  [[noreturn]] static void throw_too_many();

  bubble_mark used_;
  spinlock lock_;
  bool is_closed_ = false;  // all of the phase have arrived; with the rest guarded by lock_
  std::ptrdiff_t expected_;
  std::ptrdiff_t arrived_ = 0;
  std::ptrdiff_t dropped_ = 0;  // of those expected, gone after this phase
  task_queue queue_{"barrier"};
};

// Ends a phase on every way out of its completion.
class barrier_phase_end {
 public:
  explicit barrier_phase_end(barrier_core& b) noexcept : b_(b) {}
  ~barrier_phase_end() { b_.end_phase(); }
  barrier_phase_end(const barrier_phase_end&) = delete;
  barrier_phase_end& operator=(const barrier_phase_end&) = delete;

 private:
  barrier_core& b_;
};

}  // namespace weft::inline WEFT_ABI::detail
