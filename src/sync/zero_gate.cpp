// Waiting for a counter's zero, and releasing those who wait.
#include "weft/sync/zero_gate.hpp"

namespace weft::inline WEFT_ABI::detail {

// One wait that has to wait.
class zero_gate::attempt {
 public:
  attempt(zero_gate& gate, wait_reason reason, const bubble_use& use) noexcept
      : gate_(gate), reason_(reason), use_(use) {}

  [[nodiscard]] const bubble_use& use() const noexcept { return use_; }

  bool enrol(waiter& place) noexcept {
    std::int64_t seen = gate_.word_.load(acquire);  // pairs: zero_gate.word
    while (seen != 0 && (seen & waiting) == 0) {
      // The releaser sees the bit by coherence, and the queue under its lock.
      // pairs: zero_gate.word
      if (gate_.word_.compare_exchange(seen, seen | waiting, acquire, acquire)) break;
    }
    if (seen == 0) return false;
    gate_.queue_.push_back(place);
    has_waited_ = true;
    return true;
  }

  // A releaser on its way will come for the lock: the wait then goes on, without limits, and has
  // been granted.
  wait_end gave_up(waiter& place, wait_end how) {
    if (!place.is_linked()) {
      gate_.queue_lock_.unlock();
      return wait_end::granted;
    }
    place.unlink();
    if (may_leave()) {
      gate_.queue_lock_.unlock();
      return how;
    }
    waiter last;
    wait_state wait(wait_state::kind::single, reason_, &last, 1);
    wait.meets(use_);
    last.guard = &gate_.queue_lock_;
    gate_.queue_.push_back(last);
    wait.park(gate_.queue_lock_);
    return wait_end::granted;
  }

  void revoke(waiter&) noexcept {}

  [[nodiscard]] bool has_waited() const noexcept { return has_waited_; }

 private:
  // Under the lock, off the queue: true when no releaser is on its way, or others that are queued
  // keep the gate alive for it.
  [[nodiscard]] bool may_leave() noexcept {
    if (!gate_.queue_.empty()) return true;
    std::int64_t seen = gate_.word_.load(relaxed);  // relaxed: the exchange below decides
    while (seen >= one) {
      // relaxed: nothing is published with it
      if (gate_.word_.compare_exchange(seen, seen & ~waiting, relaxed)) return true;
    }
    return false;
  }

  zero_gate& gate_;
  const wait_reason reason_;
  const bubble_use use_;
  bool has_waited_ = false;
};

wait_end zero_gate::wait(wait_reason reason, const wait_limits& limits, bool& has_waited,
                         const bubble_use& use) {
  waiter place;
  attempt op(*this, reason, use);
  const wait_end end = block_in_queue(queue_lock_, reason, limits, place, op);
  has_waited = op.has_waited();
  return end;
}

void zero_gate::undo(std::int64_t by) noexcept {
  if (step(-by) - by == waiting) release_all();
}

void zero_gate::release_all() noexcept {
  woken_chain woken;
  queue_lock_.lock();
  while (waiter* w = pop_claimed(queue_)) woken.push_back(w);
  word_.fetch_and(~waiting, relaxed);  // relaxed: the wake-up publishes
  queue_lock_.unlock();
  wake_all(woken);
}

}  // namespace weft::inline WEFT_ABI::detail
