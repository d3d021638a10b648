// The core of a weighted semaphore: free units in one word, a strict queue for those who wait.
//
// Model       word = 2 * free units + waiting. While `waiting` is clear, acquire and release are
//             one exchange each. While it is set nobody takes units past the queue: release adds
//             them under the queue's lock and grants to the heads, in order, as far as the units
//             go.
// Invariants  I1 0 <= free <= size                                     (test "semaphore I1")
//             I2 a granted waiter's units have left the word before it wakes
//                                                                   (stress test "semaphore I2")
//             I3 `waiting` is clear only while nobody waits          (stress test "semaphore I2")
//             I4 release touches nothing of the semaphore once its units can have been taken: the
//                word is the last touch, or somebody in the queue keeps the semaphore alive
//                                                                   (stress test "semaphore I4")
// Locks       rank sync for the queue's lock.
// Order       pair semaphore.word: release() releases -> acquire() acquires. Granted waiters get it
//             through the wake-up.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/lock_check.hpp"
#include "weft/sync/wait.hpp"

namespace weft::inline WEFT_ABI::detail {

class semaphore_core {
 public:
  explicit semaphore_core(std::ptrdiff_t size);
  semaphore_core(const semaphore_core&) = delete;
  semaphore_core& operator=(const semaphore_core&) = delete;

  // More than the size is an error of use.
  void acquire(std::ptrdiff_t k) {
    safepoint();
    used_.note_use();
    check_units(k);
    if (WEFT_UNLIKELY(k > size_)) throw_too_large();
    if (!try_take(k)) acquire_slow(k, wait_limits{});
  }

  // More than the size waits for a limit. A source that has fired wins over units that are free.
  [[nodiscard]] wait_end acquire(std::ptrdiff_t k, const wait_limits& limits) {
    safepoint();
    used_.note_use();
    check_units(k);
    if (is_canceled(limits)) return wait_end::canceled;
    return try_take(k) ? wait_end::granted : acquire_slow(k, limits);
  }

  [[nodiscard]] bool try_acquire(std::ptrdiff_t k) {
    pass_entry();
    used_.note_use();
    check_units(k);
    return try_take(k);
  }

  void release(std::ptrdiff_t k);

 private:
  class attempt;

  static constexpr std::int64_t waiting = 1;

  static void check_units(std::ptrdiff_t k) {
    if (WEFT_UNLIKELY(k < 0)) throw_negative();
  }
  [[noreturn]] static void throw_negative();
  [[noreturn]] static void throw_too_large();

  // The caller knows that 0 <= k; k may exceed the size.
  [[nodiscard]] bool try_take(std::ptrdiff_t k) noexcept {
    std::int64_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
    while ((seen & waiting) == 0 && (seen >> 1) >= k) {
      const std::int64_t rest = seen - 2 * std::int64_t{k};
      // pairs: semaphore.word
      if (WEFT_LIKELY(word_.compare_exchange(seen, rest, detail::acquire))) return true;
    }
    return false;
  }

  wait_end acquire_slow(std::ptrdiff_t k, const wait_limits& limits);
  [[nodiscard]] bool release_to_waiters(std::ptrdiff_t k);
  void grant_heads(std::int64_t free, woken_chain& woken) noexcept;
  // More than what is held would come back.
  [[nodiscard]] bool is_excess(std::int64_t free, std::ptrdiff_t k) const noexcept {
    return k > size_ - free;
  }
  [[noreturn]] static void throw_excess();

  const std::int64_t size_;
  atomic<std::int64_t> word_;
  bubble_mark used_;
  spinlock queue_lock_;
  task_queue queue_{"semaphore"};  // guarded by queue_lock_; of attempts
};

}  // namespace weft::inline WEFT_ABI::detail
