// The waitable core of a context: fires once, and ends the waits that watch it.
//
// Model       `fired` goes from false to true once, under the lock; the waits that watch stand in a
//             list under the same lock. A wait that enrols later finds `fired` set.
// Invariants  I1 a wait that watches is either in the list or has been claimed, or `fired` was seen
//                                                               (test "cancel_source I1")
// Locks       rank cancel: taken under a timer heap's lock at most; what is taken under it are the
//             locks of a channel that it closes (a context's `done`) and those of ready(). The
//             claim of a wait needs no other lock.
// Order       pair cancel_source.fired: the store under the lock releases -> is_fired() acquires:
//             what the canceller wrote, the error code first, is visible.
#pragma once

#include <system_error>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI {

class context;

namespace detail {

class cancel_source {
 public:
  cancel_source() = default;
  cancel_source(const cancel_source&) = delete;
  cancel_source& operator=(const cancel_source&) = delete;

  [[nodiscard]] bool is_fired() const noexcept {
    return fired_.load(acquire);  // pairs: cancel_source.fired
  }

  // The bubble in which it was made, whose fibers alone are expected to fire it.
  [[nodiscard]] bubble_id home() const noexcept { return home_; }

  // Claims and wakes every wait that watches; later ones find it fired. What the canceller wrote
  // before is visible to them. False: it had fired already. Never blocks.
  bool fire() noexcept;

  // Puts `place` in the list; its state must be shared. False: fired, and not enrolled.
  [[nodiscard]] bool enrol(waiter& place) noexcept;

 protected:
  // With the lock held, once. Those in `woken` are to be woken after it is released.
  void fire_locked(woken_chain& woken) noexcept;

  const bubble_id home_ = bubble_of_caller();
  spinlock lock_;
  atomic<bool> fired_{false};
  wait_list waiters_;  // guarded by lock_
};

// What the layers below know of a context, which defines it: its waitable core (null: it is never
// done), and its error (none until it is done).
[[nodiscard]] cancel_source* source_of(const context& ctx) noexcept;
[[nodiscard]] std::error_code error_of(const context& ctx) noexcept;

}  // namespace detail

}  // namespace weft::inline WEFT_ABI
