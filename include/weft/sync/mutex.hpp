// The core of a mutex: one word for the fast path, a queue for those who wait, Go's two modes.
//
// Model       word, bits:
//               locked    somebody has it
//               woken     a waiter was woken and has not yet tried: an unlock wakes no second one
//               starving  unlock hands the mutex over instead of waking; implies locked
//               waiting   the queue may have somebody; set and cleared under the queue's lock
//             Normal mode: unlock clears `locked` and wakes the front waiter, which competes with
//             whoever is running; when it loses it queues again, at the front. A waiter that loses
//             after more than 1 ms turns starvation mode on: from then on the mutex goes from owner
//             to front waiter without ever being free, until the new owner is the last waiter or
//             waited less than 1 ms.
// Invariants  I1 one owner at most                                       (stress test "mutex I1")
//             I2 whoever is queued is woken by an unlock after it, or hands that on
//                                                                       (stress test "mutex I2")
//             I3 unlock touches nothing of the mutex once another can have got it: the word is the
//                last touch, or a waiter that only the unlocker can wake keeps the mutex alive
//                                                                       (stress test "mutex I3")
// Locks       rank sync for the queue's lock.
// Order       pair mutex.word: unlock releases -> lock acquires: the critical section before is
//             visible. A hand-over goes by way of the wake-up instead.
// Rejected    hand-over always: each contended section then costs a switch of fibers, also when its
//             owner comes back at once. A queue in the word itself: timed waiters leave in the
//             middle.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/owner_mark.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/lock_check.hpp"
#include "weft/sync/wait.hpp"

namespace weft::inline WEFT_ABI::detail {

class mutex_core {
 public:
  constexpr mutex_core() noexcept = default;
  mutex_core(const mutex_core&) = delete;
  mutex_core& operator=(const mutex_core&) = delete;

  void lock() {
    safepoint();
    watch_.about_to_wait(lock_mode::exclusive);
    std::uint32_t free = 0;
    // pairs: mutex.word
    if (WEFT_UNLIKELY(!word_.compare_exchange(free, locked, acquire))) lock_slow(wait_limits{});
    note_taken();
  }

  // A source that has fired wins over a mutex that is free.
  [[nodiscard]] wait_end lock(const wait_limits& limits) {
    safepoint();
    if (is_canceled(limits)) return wait_end::canceled;
    if (limits.deadline == never) watch_.about_to_wait(lock_mode::exclusive);
    if (try_lock()) return wait_end::granted;
    const wait_end end = lock_slow(limits);
    if (end == wait_end::granted) note_taken();
    return end;
  }

  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t seen = 0;
    while (!word_.compare_exchange(seen, seen | locked, acquire)) {  // pairs: mutex.word
      if ((seen & locked) != 0) return false;
    }
    note_taken();
    return true;
  }

  void unlock() {
    pass_entry();
    owner_.clear();
    watch_.given_up(lock_mode::exclusive);
    std::uint32_t mine = locked;
    if (WEFT_LIKELY(word_.compare_exchange(mine, 0, release))) return;  // pairs: mutex.word
    unlock_slow();
  }

 private:
  class attempt;

  static constexpr std::uint32_t locked = 1;
  static constexpr std::uint32_t woken = 2;
  static constexpr std::uint32_t starving = 4;
  static constexpr std::uint32_t waiting = 8;

  void note_taken() noexcept {
    owner_.set();
    watch_.taken(lock_mode::exclusive);
  }
  wait_end lock_slow(const wait_limits& limits);
  void unlock_slow();
  [[nodiscard]] bool pass_to_waiter() noexcept;
  void give_wake_up_back() noexcept;

  owner_mark owner_;  // the first: a report tells the mutex by its address
  atomic<std::uint32_t> word_{0};
  spinlock queue_lock_;
  task_queue queue_{"mutex"};  // guarded by queue_lock_; of attempts
  [[no_unique_address]] lock_watch watch_{"mutex", this};
};

}  // namespace weft::inline WEFT_ABI::detail
