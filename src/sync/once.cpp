// The first call of a once, and waiting for its end.
#include "weft/sync/once.hpp"

namespace weft::inline WEFT_ABI::detail {

// One call that comes while the function runs.
class once_core::attempt {
 public:
  explicit attempt(once_core& o) noexcept : o_(o) {}

  [[nodiscard]] const owner_mark& owner() const noexcept { return o_.runner_; }

  bool enrol(waiter& place) noexcept {
    if (o_.is_done()) return false;
    o_.queue_.push_back(place);
    return true;
  }
  wait_end gave_up(waiter&, wait_end how) noexcept {
    o_.queue_lock_.unlock();
    return how;
  }
  void revoke(waiter&) noexcept {}

 private:
  once_core& o_;
};

bool once_core::begin() {
  safepoint();
  std::uint32_t seen = fresh;
  // relaxed: what the function sees is what its caller knew
  if (word_.compare_exchange(seen, running, relaxed)) {
    runner_.set();
    return true;
  }
  waiter place;
  attempt op(*this);
  const wait_limits none;
  block_in_queue(queue_lock_, wait_reason::once_wait, none, place, op);
  return false;
}

void once_core::finish() noexcept {
  woken_chain woken;
  runner_.clear();
  queue_lock_.lock();
  word_.store(done, release);  // pairs: once.word
  while (waiter* w = pop_claimed(queue_)) woken.push_back(w);
  queue_lock_.unlock();
  wake_all(woken);
}

}  // namespace weft::inline WEFT_ABI::detail
