// A counter whose zero releases a queue: what a wait group and a latch have in common.
//
// Model       word = 2 * counter + waiting, where `waiting` says that the queue may have somebody.
//             Whoever brings the counter to zero while `waiting` is set is the releaser: it takes
//             the queue's lock, claims everybody, clears `waiting`, unlocks and wakes. Between its
//             change of the word and its lock the word is 1: a release is under way.
// Invariants  I1 a wait returns only when the counter has been zero since the wait began
//                                                              (stress test "wait_group I1")
//             I2 no operation returns while a releaser may still touch the gate: at word 1 a new
//                wait queues up, and one that gives up stays until it is released
//                                                              (stress test "wait_group I2")
// Locks       rank sync for the queue's lock.
// Order       pair zero_gate.word: a change releases -> a wait acquires: what was done before each
//             count down is visible to whoever sees zero. Released waits get it by the wake-up.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/lock_check.hpp"
#include "weft/sync/wait.hpp"

namespace weft::inline WEFT_ABI::detail {

class zero_gate {
 public:
  static constexpr std::int64_t waiting = 1;
  static constexpr std::int64_t one = 2;
  // Steps beyond it could overflow the counter unnoticed.
  static constexpr std::ptrdiff_t max_step = std::ptrdiff_t{1} << 31;

  // `what` names its owner in reports.
  constexpr explicit zero_gate(const char* what, std::ptrdiff_t n = 0) noexcept
      : word_(n * one), queue_(what) {}
  zero_gate(const zero_gate&) = delete;
  zero_gate& operator=(const zero_gate&) = delete;

  // Zero, and no release under way.
  [[nodiscard]] bool is_open() const noexcept {
    return word_.load(acquire) == 0;  // pairs: zero_gate.word
  }
  [[nodiscard]] std::int64_t counter() const noexcept {
    return word_.load(acquire) >> 1;  // pairs: zero_gate.word
  }

  // Adds to the word, gives what it was before. When the word becomes `waiting` by it, the caller
  // has to call release_all().
  [[nodiscard]] std::int64_t step(std::int64_t by) noexcept {
    return word_.fetch_add(by, acq_rel);  // pairs: zero_gate.word
  }
  void release_all() noexcept;
  // Takes back a step that was an error of use.
  void undo(std::int64_t by) noexcept;

  // A wait, by whoever owns the gate: `slow(limits)` is called, and is to call wait(), only where
  // the gate is not open. A source that has fired wins over a gate that is open.
  template <class Slow>
  wait_end pass(const wait_limits& limits, Slow slow) {
    safepoint();
    if (limits.source != nullptr && is_canceled(limits)) return wait_end::canceled;
    return is_open() ? wait_end::granted : slow(limits);
  }

  // Blocks; `has_waited` tells whether it stood in the queue. `use`: which bubble has the gate to
  // itself.
  wait_end wait(wait_reason reason, const wait_limits& limits, bool& has_waited,
                const bubble_use& use);

 private:
  class attempt;

  atomic<std::int64_t> word_;
  spinlock queue_lock_;
  task_queue queue_;  // guarded by queue_lock_
};

}  // namespace weft::inline WEFT_ABI::detail
