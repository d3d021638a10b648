// The contended paths of the reader-writer mutex.
#include "weft/sync/rw_mutex.hpp"

#include "weft/base/error.hpp"
#include "weft/base/planted.hpp"

namespace weft::inline WEFT_ABI::detail {

// One write lock that has to wait.
class rw_mutex_core::writing {
 public:
  explicit writing(rw_mutex_core& m) noexcept : m_(m) {}

  [[nodiscard]] const owner_mark& owner() const noexcept { return m_.owner_; }

  bool enrol(waiter& place) noexcept {
    std::uint64_t seen = m_.word_.load(relaxed);  // relaxed: the exchanges below decide
    for (;;) {
      const bool is_free = seen < reader && (seen & writer) == 0 && m_.writers_.empty();
      if (is_free) {
        // pairs: rw_mutex.word
        if (m_.word_.compare_exchange(seen, seen | writer, acquire)) return false;
      } else {
        // relaxed: who lets in sees the bit by coherence, and the queue under its lock
        if (m_.word_.compare_exchange(seen, seen | writers_waiting, relaxed)) break;
      }
    }
    m_.writers_.push_back(place);
    return true;
  }

  wait_end gave_up(waiter& place, wait_end how) noexcept {
    woken_chain woken;
    if (place.is_linked()) place.unlink();
    m_.let_in(woken);
    m_.queue_lock_.unlock();
    wake_all(woken);
    return how;
  }

  void revoke(waiter&) { m_.unlock(); }

 private:
  rw_mutex_core& m_;
};

// One read lock that has to wait; it is not counted.
class rw_mutex_core::reading {
 public:
  explicit reading(rw_mutex_core& m) noexcept : m_(m) {}

  [[nodiscard]] const owner_mark& owner() const noexcept { return m_.owner_; }

  bool enrol(waiter& place) noexcept {
    std::uint64_t seen = m_.word_.load(relaxed);  // relaxed: the exchanges below decide
    for (;;) {
      if ((seen & writer) == 0 && m_.writers_.empty()) {
        // pairs: rw_mutex.word
        if (m_.word_.compare_exchange(seen, seen + reader, acquire)) return false;
      } else {
        // relaxed: who lets in sees the bit by coherence, and the queue under its lock
        if (m_.word_.compare_exchange(seen, seen | readers_waiting, relaxed)) break;
      }
    }
    m_.readers_.push_back(place);
    return true;
  }

  wait_end gave_up(waiter& place, wait_end how) noexcept {
    if (place.is_linked()) place.unlink();
    if (m_.readers_.empty())
      m_.word_.fetch_and(~readers_waiting, relaxed);  // relaxed: nothing is published with it
    m_.queue_lock_.unlock();
    return how;
  }

  void revoke(waiter&) { m_.unlock_shared(); }

 private:
  rw_mutex_core& m_;
};

wait_end rw_mutex_core::lock_slow(const wait_limits& limits) {
  waiter place;
  writing op(*this);
  return block_in_queue(queue_lock_, wait_reason::rw_mutex_lock, limits, place, op);
}

wait_end rw_mutex_core::lock_shared_slow(const wait_limits& limits) {
  woken_chain woken;
  queue_lock_.lock();
  const std::uint64_t stops =
      is_planted(planted_bug::writer_starvation) ? writer : writer | writers_waiting;
  if ((word_.load(acquire) & stops) == 0) {  // pairs: rw_mutex.word
    queue_lock_.unlock();
    return wait_end::granted;  // meanwhile the count let it in
  }
  word_.fetch_sub(reader, relaxed);  // relaxed: it had nothing that others could wait to see
  let_in(woken);
  queue_lock_.unlock();
  wake_all(woken);
  waiter place;
  reading op(*this);
  return block_in_queue(queue_lock_, wait_reason::rw_mutex_rlock, limits, place, op);
}

void rw_mutex_core::unlock_slow() {
  std::uint64_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
  for (;;) {
    if ((seen & writer) == 0) throw_usage_error("sync: Unlock of unlocked RWMutex");
    if ((seen & (writers_waiting | readers_waiting)) == 0) {
      if (word_.compare_exchange(seen, seen & ~writer, release)) return;  // pairs: rw_mutex.word
    } else {
      if (pass_to_waiters()) return;
      seen = word_.load(relaxed);  // relaxed: as above
    }
  }
}

// To the readers that are queued, else to the first writer. False: all have given up; it is then
// still locked, because the next owner may destroy it while this thread holds the queues' lock.
bool rw_mutex_core::pass_to_waiters() noexcept {
  woken_chain woken;
  queue_lock_.lock();
  if (const std::uint64_t entering = claim_readers(woken); entering != 0) {
    enter_readers(entering, writer | (writers_.empty() ? writers_waiting : 0));
  } else {
    std::uint64_t cleared = readers_waiting;
    if (waiter* next = pop_claimed(writers_)) {
      next->ok = true;
      woken.push_back(next);
    }
    if (writers_.empty()) cleared |= writers_waiting;
    word_.fetch_and(~cleared, relaxed);  // relaxed: the wake-up publishes
  }
  queue_lock_.unlock();
  const bool passed = !woken.empty();
  wake_all(woken);
  return passed;
}

void rw_mutex_core::unlock_shared_slow() {
  std::uint64_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
  for (;;) {
    if (seen < reader || (seen & writer) != 0)
      throw_usage_error("sync: RUnlock of unlocked RWMutex");
    if ((seen & writers_waiting) == 0 || seen >= 2 * reader) {
      // pairs: rw_mutex.word
      if (word_.compare_exchange(seen, seen - reader, release)) return;
    } else {
      if (leave_last()) return;
      seen = word_.load(relaxed);  // relaxed: as above
    }
  }
}

// False: no writer waits any more, and this reader is still counted, because the next owner may
// destroy the mutex while this thread holds the queues' lock.
bool rw_mutex_core::leave_last() noexcept {
  woken_chain woken;
  queue_lock_.lock();
  const bool has_writers = !writers_.empty();
  if (has_writers) {
    word_.fetch_sub(reader, release);  // pairs: rw_mutex.word
    let_in(woken);
  } else {
    word_.fetch_and(~writers_waiting, relaxed);  // relaxed: nothing is published with it
  }
  queue_lock_.unlock();
  wake_all(woken);
  return has_writers;
}

// Under the lock, by whoever has changed what others wait for: lets in whom the word now lets in.
void rw_mutex_core::let_in(woken_chain& woken) noexcept {
  const std::uint64_t seen = word_.load(acquire);  // pairs: rw_mutex.word
  if ((seen & writer) != 0) return;
  if (has_unclaimed(writers_)) {
    if (seen >= reader) return;  // the last of them comes back here
    // While `writers_waiting` is set no reader gets in, so the word may change in two steps.
    if (waiter* next = pop_claimed(writers_)) {
      word_.fetch_or(writer, relaxed);  // relaxed: the wake-up publishes
      if (writers_.empty()) word_.fetch_and(~writers_waiting, relaxed);  // relaxed: likewise
      next->ok = true;
      woken.push_back(next);
      return;
    }
  }
  enter_readers(claim_readers(woken), writers_waiting);
}

// Under the lock: takes all readers off their queue; what they add to the word.
std::uint64_t rw_mutex_core::claim_readers(woken_chain& woken) noexcept {
  std::uint64_t entering = 0;
  while (waiter* w = pop_claimed(readers_)) {
    w->ok = true;
    woken.push_back(w);
    entering += reader;
  }
  return entering;
}

// Under the lock: counts readers and takes bits off the word in one step, so that no writer can
// come between.
void rw_mutex_core::enter_readers(std::uint64_t entering, std::uint64_t cleared) noexcept {
  std::uint64_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
  std::uint64_t next = 0;
  do {
    next = (seen & ~(cleared | readers_waiting)) + entering;
  } while (!word_.compare_exchange(seen, next, release));  // pairs: rw_mutex.word
}

}  // namespace weft::inline WEFT_ABI::detail
