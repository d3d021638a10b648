// Waiting for units of a semaphore, and granting them in order.
#include "weft/sync/semaphore.hpp"

#include <limits>

#include "weft/base/error.hpp"

namespace weft::inline WEFT_ABI::detail {

// One acquire that has to wait; its place in the queue.
class semaphore_core::attempt : public waiter {
 public:
  attempt(semaphore_core& s, std::ptrdiff_t k) noexcept : s_(s), k_(k) {}

  [[nodiscard]] std::int64_t units() const noexcept { return k_; }

  bool enrol(waiter&) noexcept {
    std::int64_t seen = s_.word_.load(relaxed);  // relaxed: the exchanges below decide
    for (;;) {
      // A set bit without anybody is what a fiber left that ended with its runtime.
      const bool is_first = s_.queue_.empty();
      const std::int64_t free = seen >> 1;
      if (is_first && free >= k_) {
        const std::int64_t rest = 2 * (free - k_);
        // pairs: semaphore.word
        if (s_.word_.compare_exchange(seen, rest, detail::acquire)) return false;
      } else {
        // relaxed: a release sees the bit by coherence, and the queue under its lock
        if (s_.word_.compare_exchange(seen, seen | waiting, relaxed)) break;
      }
    }
    s_.queue_.push_back(*this);
    return true;
  }

  // The next ones may fit where this one did not.
  wait_end gave_up(waiter&, wait_end how) noexcept {
    woken_chain woken;
    if (is_linked()) unlink();
    // relaxed: while `waiting` is set only the lock's holder changes the word
    const std::int64_t seen = s_.word_.load(relaxed);
    if ((seen & waiting) != 0) s_.grant_heads(seen >> 1, woken);
    s_.queue_lock_.unlock();
    wake_all(woken);
    return how;
  }

  void revoke(waiter&) { s_.release(k_); }

  [[nodiscard]] bubble_use use() const noexcept { return s_.used_.use(); }

 private:
  semaphore_core& s_;
  const std::ptrdiff_t k_;
};

semaphore_core::semaphore_core(std::ptrdiff_t size) : size_(size), word_(2 * std::int64_t{size}) {
  if (size < 0) throw_usage_error("semaphore: size < 0");
  if (size > std::numeric_limits<std::int64_t>::max() / 2)
    throw_usage_error("semaphore: size out of range");
}

wait_end semaphore_core::acquire_slow(std::ptrdiff_t k, const wait_limits& limits) {
  // Never granted, so it does not stand in the queue, where it would hold up the others.
  if (k > size_) return block_until_limit(wait_reason::semaphore, limits);
  attempt a(*this, k);
  const wait_end end = block_in_queue(queue_lock_, wait_reason::semaphore, limits, a, a);
  if (end != wait_end::granted || !is_canceled(limits)) return end;
  // Cancelled at the moment of the grant.
  release(k);
  return wait_end::canceled;
}

void semaphore_core::release(std::ptrdiff_t k) {
  pass_entry();
  used_.note_use();
  check_units(k);
  std::int64_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
  for (;;) {
    if (WEFT_UNLIKELY(is_excess(seen >> 1, k))) throw_excess();
    if ((seen & waiting) == 0) {
      const std::int64_t more = seen + 2 * std::int64_t{k};
      // pairs: semaphore.word
      if (WEFT_LIKELY(word_.compare_exchange(seen, more, detail::release))) return;
    } else {
      if (release_to_waiters(k)) return;
      seen = word_.load(relaxed);  // relaxed: as above
    }
  }
}

// False: nobody waits any more and nothing was released. The caller then does it without the lock,
// since whoever takes the units may destroy the semaphore.
bool semaphore_core::release_to_waiters(std::ptrdiff_t k) {
  woken_chain woken;
  queue_lock_.lock();
  if (queue_.empty()) {
    word_.fetch_and(~waiting, relaxed);  // relaxed: nothing is published with it
    queue_lock_.unlock();
    return false;
  }
  // relaxed: somebody is queued, so `waiting` is set and only the lock's holder changes the word
  const std::int64_t free = word_.load(relaxed) >> 1;
  const bool excess = is_excess(free, k);
  if (!excess) grant_heads(free + k, woken);
  queue_lock_.unlock();
  if (WEFT_UNLIKELY(excess)) throw_excess();
  wake_all(woken);
  return true;
}

// Under the lock, with `waiting` set: gives `free` units to the heads as far as they go, and stores
// the rest.
void semaphore_core::grant_heads(std::int64_t free, woken_chain& woken) noexcept {
  while (waiter* w = queue_.front()) {
    const std::int64_t wanted = static_cast<attempt*>(w)->units();
    const bool is_stale = w->state->is_claimed();
    if (!is_stale && wanted > free) break;
    w->unlink();
    if (is_stale || w->state->try_claim(w->index) != claim::parked) continue;
    w->ok = true;
    free -= wanted;
    woken.push_back(w);
  }
  const std::int64_t bit = queue_.empty() ? 0 : waiting;
  word_.store(2 * free + bit, detail::release);  // pairs: semaphore.word
}

void semaphore_core::throw_negative() { throw_usage_error("semaphore: n < 0"); }

void semaphore_core::throw_too_large() {
  throw_usage_error("semaphore: acquire of more than its size");
}

void semaphore_core::throw_excess() { throw_usage_error("semaphore: released more than held"); }

}  // namespace weft::inline WEFT_ABI::detail
