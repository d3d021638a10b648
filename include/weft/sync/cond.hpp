// The core of a condition variable: a place is queued before the user's lock is given up.
//
// Model       A wait queues its place, gives the user's lock up, and parks unless it was signalled
//             in between. A signal takes the first place off the queue under the queue's lock: of
//             one that is parked it claims the wait, one that is not yet it only marks. So no
//             signal after the unlock is lost, and none is remembered for later waits.
// Unwound     the user's lock is taken again on every way out, also when the run is unwound or ends
//             in a deadlock: a lock_guard above unlocks.
// Invariants  I1 a signal ends one wait that nothing else has ended, if there is one; each wait
//                ends by one signal, broadcast or limit                (stress test "cond I1")
// Locks       rank sync for the queue's lock; the user's lock is never touched under it.
#pragma once

#include <cstdint>

#include "weft/arch/spinlock.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/lock_check.hpp"
#include "weft/sync/wait.hpp"

namespace weft::inline WEFT_ABI::detail {

// A user's lock of any type.
class lock_ref {
 public:
  template <class Lock>
  explicit lock_ref(Lock& lock) noexcept
      : lock_(&lock),
        lock_it_([](void* l) { static_cast<Lock*>(l)->lock(); }),
        unlock_it_([](void* l) { static_cast<Lock*>(l)->unlock(); }) {}

  void lock() const { lock_it_(lock_); }
  void unlock() const { unlock_it_(lock_); }

 private:
  void* lock_;
  void (*lock_it_)(void*);
  void (*unlock_it_)(void*);
};

class cond_core {
 public:
  constexpr cond_core() noexcept = default;
  cond_core(const cond_core&) = delete;
  cond_core& operator=(const cond_core&) = delete;

  // Returns with `user` locked, however it ends.
  wait_end wait(const lock_ref& user, const wait_limits& limits);
  // Throw std::logic_error where a wait is another bubble's: it goes on.
  void signal();
  void broadcast();

 private:
  class attempt;

  static bool is_refused(const waiter& w) noexcept;
  // False: there is a wait that the caller may not end.
  bool signal_some(bool all) noexcept;

  spinlock queue_lock_;
  task_queue queue_{"cond"};  // guarded by queue_lock_; of attempts
};

}  // namespace weft::inline WEFT_ABI::detail
