// The bubble: a closed world of fibers with a clock of its own, for tests.
//
// Model       A fiber that is made by a fiber of a bubble belongs to it, as does one that a timer
//             of the bubble starts. The bubble counts its fibers, and those of them that run or
//             may: all but the durably blocked. When none is left it is idle and wakes its driver
//             (src/testing/bubble_run.cpp), which fires timers, answers testing::wait, moves the
//             clock or says that it is over. The driver is the fiber that called testing::bubble:
//             it is in the bubble, but counted in neither number.
// Durable     a wait that only the bubble itself can end. The operation knows: it tells the wait to
//             which bubbles the objects belong that may end it (wait_state::meets).
//             A wait for an object that was made outside, and so far used in the bubble only, is
//             durable as well, but never called a deadlock: who knows it outside may end it.
// Counting    a fiber that parks durably is marked before its wait is published, and counted out by
//             the commit, when its stack is at rest. Whoever makes it runnable takes the mark and
//             counts it in again. If that comes between the two, the number is too large for a
//             moment, and never too small: nobody finds the bubble idle too early.
// Invariants  I1 idle means that every fiber of the bubble is durably blocked, on a stack at rest
//                                                               (test "bubble I1")
//             I2 the clock moves only while the bubble is idle  (test "bubble I2")
// Lifetime    records are kept for ever and used again: a node may ask for its heap, and an object
//             for its bubble, at any time. A number is never used again.
// Locks       lock_, rank sync: nothing but ready() is called after it.
// Order       pair bubble.now: the driver stores -> fibers load; they run after it anyhow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/fiber.hpp"
#include "weft/sched/test_world.hpp"
#include "weft/sched/timer_heap.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

class bubble_state {
 public:
  // The first instant of the year 2000, as every bubble's clock shows it at the start.
  static constexpr std::int64_t start = 946'684'800'000'000'000;

  // A new bubble without fibers. Throws std::bad_alloc.
  static bubble_state& make();
  // By the driver, when no fiber is left: for the next one.
  void end() noexcept;
  bubble_state(const bubble_state&) = delete;
  bubble_state& operator=(const bubble_state&) = delete;

  [[nodiscard]] bubble_id id() const noexcept {
    return id_.load(relaxed);  // relaxed: constant while it is under way
  }
  [[nodiscard]] std::int64_t now() const noexcept {
    return now_.load(acquire);  // pairs: bubble.now
  }

  // What happens to its fibers.
  void fiber_made() noexcept;
  void fiber_ended(const fiber& f) noexcept;
  // The far side of a durable park.
  void blocked(durability how) noexcept;
  // A durably blocked fiber was made runnable.
  void unblocked(durability how) noexcept;

  // testing::wait, by one of its fibers.
  void wait_for_others();

  // --- the driver's ---
  // Parks the caller until the bubble has become idle since the last call.
  void wait_until_idle();
  [[nodiscard]] bool is_idle() const noexcept;
  // The fiber that testing::bubble runs first; before it runs.
  void set_first(const fiber& f) noexcept { first_ = f.id.load(relaxed); }  // relaxed: its maker
  [[nodiscard]] bool first_has_ended() const noexcept;
  [[nodiscard]] std::size_t fibers() const noexcept;
  // A fiber waits for what somebody outside may know.
  [[nodiscard]] bool may_be_woken_from_outside() const noexcept;
  // Of an idle bubble. True: somebody was in wait_for_others, and goes on.
  bool release_waiting() noexcept;
  void move_clock(std::int64_t to) noexcept { now_.store(to, release); }  // pairs: bubble.now

  timer_heap timers;
  bubble_state* next = nullptr;  // of all; constant

 private:
  friend bool is_bubble_alive(bubble_id id) noexcept;

  bubble_state() noexcept { timers.shuffle_equal(); }
  ~bubble_state() = default;

  // With the lock held: whom to wake if it is idle now; null: nobody.
  [[nodiscard]] waiter* note_if_idle() noexcept;

  atomic<bubble_id> id_{no_bubble};  // no_bubble: not in use
  atomic<std::int64_t> now_{start};

  mutable spinlock lock_;
  // Guarded by lock_.
  std::size_t fibers_ = 0;
  std::size_t running_ = 0;  // not durably blocked, or not seen to be yet
  std::size_t adopted_ = 0;  // durably blocked, on an object made outside
  bool became_idle_ = false;
  bool first_has_ended_ = false;
  std::uint64_t first_ = 0;
  wait_list driver_;   // at most one
  wait_list waiting_;  // at most one
};

// A parked fiber of a bubble is being made runnable, or has been by other means.
void count_in(fiber& f) noexcept;

// While it lives the calling fiber is outside of its bubble: for what belongs there.
class outside_scope {
 public:
  explicit outside_scope(bool leaves) noexcept;
  ~outside_scope();
  outside_scope(const outside_scope&) = delete;
  outside_scope& operator=(const outside_scope&) = delete;

 private:
  fiber* f_ = nullptr;
  bubble_state* was_in_ = nullptr;
};

}  // namespace weft::inline WEFT_ABI::detail
