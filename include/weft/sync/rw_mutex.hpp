// The core of a reader-writer mutex: readers counted in one word, a queue for each side.
//
// Model       word, from the low bits:
//               writer           somebody has it for writing
//               writers_waiting  writers are queued: new readers queue up too
//               readers_waiting  readers are queued
//               count            readers that have it, and for a moment those that came and
//                                found that they must wait
//             A reader counts itself first and looks second. One that may not enter takes the
//             queues' lock, takes itself off the count again, and queues up; as long as it is
//             counted it only delays a writer, which it then lets in itself. Write unlock lets in
//             all readers that are queued, else hands over to the next writer. The last reader lets
//             a writer in: it takes the lock while it is still counted.
// Invariants  I1 a writer and nobody else, or any number of readers   (stress test "rw_mutex I1")
//             I2 while the lock is free nobody is queued whom the word would let in
//                                                                     (stress test "rw_mutex I2")
//             I3 an unlock touches nothing once another can have got it and returned: the word is
//                the last touch, or somebody in a queue keeps the mutex alive
//                                                                     (stress test "rw_mutex I3")
// Locks       rank sync for the queues' lock.
// Order       pair rw_mutex.word: either unlock releases -> either lock acquires. Grants to those
//             that are queued go by way of the wake-up.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/owner_mark.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/lock_check.hpp"
#include "weft/sync/wait.hpp"

namespace weft::inline WEFT_ABI::detail {

class rw_mutex_core {
 public:
  constexpr rw_mutex_core() noexcept = default;
  rw_mutex_core(const rw_mutex_core&) = delete;
  rw_mutex_core& operator=(const rw_mutex_core&) = delete;

  void lock() {
    safepoint();
    watch_.about_to_wait(lock_mode::exclusive);
    if (try_lock()) return;
    static_cast<void>(lock_slow(wait_limits{}));
    note_taken();
  }
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
    std::uint64_t free = 0;
    if (!word_.compare_exchange(free, writer, acquire)) return false;  // pairs: rw_mutex.word
    note_taken();
    return true;
  }
  void unlock() {
    pass_entry();
    owner_.clear();
    watch_.given_up(lock_mode::exclusive);
    std::uint64_t mine = writer;
    if (WEFT_LIKELY(word_.compare_exchange(mine, 0, release))) return;  // pairs: rw_mutex.word
    unlock_slow();
  }

  void lock_shared() {
    safepoint();
    watch_.about_to_wait(lock_mode::shared);
    const std::uint64_t before = word_.fetch_add(reader, acquire);  // pairs: rw_mutex.word
    if (WEFT_UNLIKELY((before & (writer | writers_waiting)) != 0)) lock_shared_slow(wait_limits{});
    watch_.taken(lock_mode::shared);
  }
  [[nodiscard]] wait_end lock_shared(const wait_limits& limits) {
    safepoint();
    if (is_canceled(limits)) return wait_end::canceled;
    if (limits.deadline == never) watch_.about_to_wait(lock_mode::shared);
    const std::uint64_t before = word_.fetch_add(reader, acquire);  // pairs: rw_mutex.word
    const bool enters = (before & (writer | writers_waiting)) == 0;
    const wait_end end = enters ? wait_end::granted : lock_shared_slow(limits);
    if (end == wait_end::granted) watch_.taken(lock_mode::shared);
    return end;
  }
  [[nodiscard]] bool try_lock_shared() noexcept {
    pass_entry();
    std::uint64_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
    while ((seen & (writer | writers_waiting)) == 0) {
      // pairs: rw_mutex.word
      if (!word_.compare_exchange(seen, seen + reader, acquire)) continue;
      watch_.taken(lock_mode::shared);
      return true;
    }
    return false;
  }
  void unlock_shared() {
    pass_entry();
    watch_.given_up(lock_mode::shared);
    std::uint64_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
    while (WEFT_LIKELY(seen >= reader && (seen & (writer | writers_waiting)) == 0)) {
      // pairs: rw_mutex.word
      if (WEFT_LIKELY(word_.compare_exchange(seen, seen - reader, release))) return;
    }
    unlock_shared_slow();
  }

 private:
  class reading;
  class writing;

  static constexpr std::uint64_t writer = 1;
  static constexpr std::uint64_t writers_waiting = 2;
  static constexpr std::uint64_t readers_waiting = 4;
  static constexpr std::uint64_t reader = 8;

  void note_taken() noexcept {
    owner_.set();
    watch_.taken(lock_mode::exclusive);
  }
  wait_end lock_slow(const wait_limits& limits);
  wait_end lock_shared_slow(const wait_limits& limits);
  void unlock_slow();
  void unlock_shared_slow();
  [[nodiscard]] bool pass_to_waiters() noexcept;
  [[nodiscard]] bool leave_last() noexcept;
  void let_in(woken_chain& woken) noexcept;
  [[nodiscard]] std::uint64_t claim_readers(woken_chain& woken) noexcept;
  void enter_readers(std::uint64_t entering, std::uint64_t cleared) noexcept;

  owner_mark owner_;  // of the writer; the first: a report tells the mutex by its address
  atomic<std::uint64_t> word_{0};
  spinlock queue_lock_;
  task_queue writers_{"rw_mutex"};  // guarded by queue_lock_
  task_queue readers_{"rw_mutex"};  // guarded by queue_lock_
  [[no_unique_address]] lock_watch watch_{"rw_mutex", this};
};

}  // namespace weft::inline WEFT_ABI::detail
