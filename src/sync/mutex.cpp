// The contended paths of the mutex.
#include "weft/sync/mutex.hpp"

#include "weft/base/error.hpp"
#include "weft/base/planted.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// So long a waiter competes before it is handed the mutex.
constexpr std::int64_t starving_after_ns = 1'000'000;

}  // namespace

// One call of lock that has to wait; its place in the queue.
class mutex_core::attempt : public waiter {
 public:
  attempt(mutex_core& m, const wait_limits& limits) noexcept : m_(m), limits_(limits) {}
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;
  ~attempt() {
    if (owes_wake_up_) m_.give_wake_up_back();
  }

  wait_end run() {
    for (;;) {
      if (try_take()) return wait_end::granted;
      note_time();
      const wait_end end =
          block_in_queue(m_.queue_lock_, wait_reason::mutex_lock, limits_, *this, *this);
      if (end != wait_end::granted || owns_) return end;
      owes_wake_up_ = true;
    }
  }

  // Operations for block_in_queue.
  bool enrol(waiter&) noexcept {
    std::uint32_t seen = m_.word_.load(relaxed);  // relaxed: the exchange below decides
    for (;;) {
      if ((seen & locked) == 0) {
        if (take(seen)) return false;
        continue;
      }
      std::uint32_t wanted = seen | waiting;
      if (owes_wake_up_ && !is_planted(planted_bug::lost_wake_up)) wanted &= ~woken;
      if (is_starving_) wanted |= starving;
      // relaxed: who unlocks sees the bit by coherence, and the queue under its lock
      if (m_.word_.compare_exchange(seen, wanted, relaxed)) break;
    }
    owes_wake_up_ = false;
    if (lost_before_) {
      m_.queue_.push_front(*this);
    } else {
      m_.queue_.push_back(*this);
    }
    return true;
  }
  wait_end gave_up(waiter&, wait_end how) noexcept {
    if (is_linked()) unlink();
    m_.queue_lock_.unlock();
    return how;
  }
  void revoke(waiter&) {
    if (owns_) {
      m_.unlock();
    } else {
      m_.give_wake_up_back();
    }
  }

  [[nodiscard]] const owner_mark& owner() const noexcept { return m_.owner_; }

  // By the unlocker, under the queue's lock.
  void grant(bool hand_over) noexcept {
    owns_ = hand_over;
    ok = true;
  }
  [[nodiscard]] bool waited_long(std::int64_t now) const noexcept {
    return now - since_ > starving_after_ns;
  }

 private:
  [[nodiscard]] bool try_take() noexcept {
    std::uint32_t seen = m_.word_.load(relaxed);  // relaxed: the exchange below decides
    while ((seen & locked) == 0) {
      if (take(seen)) return true;
    }
    return false;
  }

  // One try on a word that shows the mutex free; on failure `seen` is the word found.
  [[nodiscard]] bool take(std::uint32_t& seen) noexcept {
    std::uint32_t taken = seen | locked;
    if (owes_wake_up_) taken &= ~woken;
    if (!m_.word_.compare_exchange(seen, taken, acquire)) return false;  // pairs: mutex.word
    owes_wake_up_ = false;
    owns_ = true;
    return true;
  }

  void note_time() noexcept {
    if (!has_waited_) {
      since_ = now_ns();
      has_waited_ = true;
    } else {
      lost_before_ = true;
      is_starving_ = waited_long(now_ns());
    }
  }

  mutex_core& m_;
  const wait_limits& limits_;
  std::int64_t since_ = 0;  // when it first had to wait
  bool has_waited_ = false;
  bool lost_before_ = false;  // was woken and found the mutex taken
  bool is_starving_ = false;
  bool owes_wake_up_ = false;  // the bit `woken` stands for this attempt
  bool owns_ = false;          // has taken the mutex, or was handed it
};

wait_end mutex_core::lock_slow(const wait_limits& limits) { return attempt(*this, limits).run(); }

void mutex_core::unlock_slow() {
  std::uint32_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
  for (;;) {
    if ((seen & locked) == 0) throw_usage_error("sync: unlock of unlocked mutex");
    if ((seen & waiting) == 0 || (seen & (woken | starving)) == woken) {
      if (word_.compare_exchange(seen, seen & ~locked, release)) return;  // pairs: mutex.word
    } else {
      if (pass_to_waiter()) return;
      seen = word_.load(relaxed);  // relaxed: as above
    }
  }
}

// Wakes the front waiter, or hands it the mutex. False: all have given up; the mutex is then still
// locked, because the next owner may destroy it while this thread holds the queue's lock.
bool mutex_core::pass_to_waiter() noexcept {
  queue_lock_.lock();
  waiter* first = pop_claimed(queue_);
  if (first == nullptr) {
    word_.fetch_and(~(waiting | starving), relaxed);  // relaxed: nothing is published with it
    queue_lock_.unlock();
    return false;
  }
  attempt& next = static_cast<attempt&>(*first);
  const bool is_last = queue_.empty();
  // relaxed: this bit changes under the queue's lock only
  const bool hand_over = (word_.load(relaxed) & starving) != 0;
  next.grant(hand_over);
  if (hand_over) {
    std::uint32_t ended = is_last ? waiting : 0;
    if (is_last || !next.waited_long(now_ns())) ended |= starving;
    word_.fetch_and(~ended, relaxed);  // relaxed: the wake-up publishes
  } else {
    std::uint32_t seen = word_.load(relaxed);  // relaxed: the exchange below decides
    std::uint32_t free = 0;
    do {
      free = (seen & ~locked) | woken;
      if (is_last) free &= ~waiting;
    } while (!word_.compare_exchange(seen, free, release));  // pairs: mutex.word
  }
  queue_lock_.unlock();
  first->state->wake();
  return true;
}

// The waiter that `woken` stood for goes away without having tried: the next unlock wakes another,
// and if the mutex is free already, this does.
void mutex_core::give_wake_up_back() noexcept {
  word_.fetch_and(~woken, relaxed);  // relaxed: an unlock that missed it fails its exchange
  if (try_lock()) unlock();
}

}  // namespace weft::inline WEFT_ABI::detail
