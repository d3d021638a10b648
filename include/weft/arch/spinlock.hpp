// A lock of one byte for sections of some ten instructions; it blocks the machine, never the fiber.
//
// Order       pair spinlock.word: unlock releases -> lock acquires: what the last holder wrote is
//             visible to the next.
// Contention  spins briefly, then yields the OS thread: the holder may have been preempted by the
//             kernel, and on few cores spinning would only keep it from running.
// Rejected    a ticket lock: one preempted waiter stalls all behind it.
#pragma once

#include "weft/arch/atomic.hpp"

namespace weft::inline WEFT_ABI::detail {

class spinlock {
 public:
  constexpr spinlock() noexcept = default;
  spinlock(const spinlock&) = delete;
  spinlock& operator=(const spinlock&) = delete;

  void lock() noexcept {
    if (WEFT_UNLIKELY(word_.exchange(1, acquire) != 0)) lock_slow();  // pairs: spinlock.word
  }
  [[nodiscard]] bool try_lock() noexcept {
    // relaxed: only a guess that saves the locked instruction
    return word_.load(relaxed) == 0 && word_.exchange(1, acquire) == 0;  // pairs: spinlock.word
  }
  void unlock() noexcept { word_.store(0, release); }  // pairs: spinlock.word
  [[nodiscard]] bool is_locked_for_testing() const noexcept {
    return word_.load(relaxed) != 0;  // relaxed: tests ask when nobody else runs
  }

 private:
  void lock_slow() noexcept;

  atomic<unsigned char> word_{0};
};

// Holds a lock for a scope.
template <class Lock>
class lock_guard {
 public:
  explicit lock_guard(Lock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~lock_guard() { lock_.unlock(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace weft::inline WEFT_ABI::detail
