// Checks of how locks are used, compiled in where WEFT_CHECK_LOCKS says so, and nothing elsewhere.
//
// Model       a lock_watch in each lock notes in one table of the process which task, a fiber or a
//             plain thread, holds it since which place. Before a lock that may wait without a limit
//             of time the table is asked: does the task have it already, and has anybody ever
//             taken what the task holds and what it wants in another order (lock_order.hpp)? So an
//             inversion is found when both orders have been seen, though nobody ever waited.
//             A task_queue says so when it dies with somebody in it.
// Told        on stderr, once for each pair of places, before the task blocks; the program goes on,
//             or with WEFT_CHECK=abort in the environment ends by SIGABRT. A primitive that dies
//             with tasks in its queue is fatal: they would wait in memory that is somebody else's.
// Not told    try_lock and locks with a limit of time: they do not wait for ever. They count as
//             held, once they have succeeded. What fibers hold whose runtime has ended.
// Owners      locks have none (SY-05). What another task than the holder unlocks is taken off the
//             holder's.
// Locks       the table's, taken with no other lock held. Nothing is printed under it.
// Order       under the table's lock throughout. given_up() comes before the unlock and touches
//             the watch last: whoever gets the lock next may destroy it.
// Cost        some microseconds for each lock. A refused allocation drops what it was to note.
#pragma once

#include <cstdint>

#include "weft/base/config.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

enum class lock_mode : unsigned char { exclusive, shared };

#if WEFT_CHECK_LOCKS

class lock_watch {
 public:
  // `what` names the primitive in reports and lives for ever; `lock` is where it is.
  constexpr lock_watch(const char* what, const void* lock) noexcept : what_(what), lock_(lock) {}
  ~lock_watch();
  lock_watch(const lock_watch&) = delete;
  lock_watch& operator=(const lock_watch&) = delete;

  void about_to_wait(lock_mode mode) noexcept;
  void taken(lock_mode mode) noexcept;
  void given_up(lock_mode mode) noexcept;

 private:
  friend class lock_table;

  const char* what_;
  const void* lock_;
  // Guarded by the table's lock.
  std::uint64_t id_ = 0;       // 0: has none yet
  std::uint32_t holders_ = 0;  // entries in the table
};

// The queue of a primitive.
class task_queue : public wait_list {
 public:
  constexpr explicit task_queue(const char* what) noexcept : what_(what) {}
  ~task_queue() {
    if (WEFT_UNLIKELY(!empty())) report_destroyed_in_use(what_);
  }

 private:
  [[noreturn]] static void report_destroyed_in_use(const char* what) noexcept;

  const char* what_;
};

#else

class lock_watch {
 public:
  constexpr lock_watch(const char*, const void*) noexcept {}

  void about_to_wait(lock_mode) noexcept {}
  void taken(lock_mode) noexcept {}
  void given_up(lock_mode) noexcept {}
};

class task_queue : public wait_list {
 public:
  constexpr explicit task_queue(const char*) noexcept {}
};

#endif

}  // namespace weft::inline WEFT_ABI::detail
