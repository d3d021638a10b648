// Arriving at a barrier, and ending its phases.
#include "weft/sync/barrier.hpp"

#include "weft/base/error.hpp"

namespace weft::inline WEFT_ABI::detail {

// One arrival that may have to wait.
class barrier_core::attempt {
 public:
  explicit attempt(barrier_core& b) noexcept : b_(b) {}

  bool enrol(waiter& place) noexcept {
    if (b_.is_closed_ || b_.expected_ == 0) {
      is_excess_ = true;
      return false;
    }
    if (b_.count_arrival()) {
      is_last_ = true;
      return false;
    }
    b_.queue_.push_back(place);
    return true;
  }

  wait_end gave_up(waiter& place, wait_end how) {
    if (!place.is_linked()) {
      // The phase ended when the wait could no longer be claimed.
      b_.lock_.unlock();
      return wait_end::granted;
    }
    place.unlink();
    if (!b_.is_closed_) {
      --b_.arrived_;
      b_.lock_.unlock();
      return how;
    }
    waiter last;
    wait_state wait(wait_state::kind::single, wait_reason::barrier_wait, &last, 1);
    wait.meets(use());
    last.guard = &b_.lock_;
    b_.queue_.push_back(last);
    wait.park(b_.lock_);
    return wait_end::granted;
  }

  void revoke(waiter&) noexcept {}

  [[nodiscard]] bubble_use use() const noexcept { return b_.used_.use(); }
  [[nodiscard]] bool is_last() const noexcept { return is_last_; }
  [[nodiscard]] bool is_excess() const noexcept { return is_excess_; }

 private:
  barrier_core& b_;
  bool is_last_ = false;
  bool is_excess_ = false;
};

barrier_core::barrier_core(std::ptrdiff_t expected) : expected_(expected) {
  if (expected < 0) throw_usage_error("barrier: negative count");
}

barrier_core::arrival barrier_core::arrive_and_wait(const wait_limits& limits) {
  safepoint();
  used_.note_use();
  if (is_canceled(limits)) return arrival::gave_up;
  waiter place;
  attempt op(*this);
  const wait_end end = block_in_queue(lock_, wait_reason::barrier_wait, limits, place, op);
  if (op.is_excess()) throw_too_many();
  if (op.is_last()) return arrival::last;
  return end == wait_end::granted ? arrival::released : arrival::gave_up;
}

bool barrier_core::arrive_and_drop() {
  pass_entry();
  used_.note_use();
  lock_.lock();
  const bool is_excess = is_closed_ || expected_ == 0;
  bool is_last = false;
  if (!is_excess) {
    ++dropped_;
    is_last = count_arrival();
  }
  lock_.unlock();
  if (is_excess) throw_too_many();
  return is_last;
}

// Under the lock; true: the phase is closed by this arrival.
bool barrier_core::count_arrival() noexcept {
  is_closed_ = ++arrived_ == expected_;
  return is_closed_;
}

void barrier_core::end_phase() noexcept {
  woken_chain woken;
  lock_.lock();
  is_closed_ = false;
  arrived_ = 0;
  expected_ -= dropped_;
  dropped_ = 0;
  while (waiter* w = pop_claimed(queue_)) woken.push_back(w);
  lock_.unlock();
  wake_all(woken);
}

void barrier_core::throw_too_many() {
  throw_usage_error("barrier: more arrivals than it was made for");
}

}  // namespace weft::inline WEFT_ABI::detail
