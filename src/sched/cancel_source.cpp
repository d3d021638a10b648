// Firing a cancel_source, and watching one.
#include "weft/sched/cancel_source.hpp"

namespace weft::inline WEFT_ABI::detail {

void cancel_source::fire_locked(woken_chain& woken) noexcept {
  fired_.store(true, release);  // pairs: cancel_source.fired
  // One that is claimed before its owner parks sees that itself, and is touched no more.
  while (waiter* w = pop_claimed(waiters_)) woken.push_back(w);
}

bool cancel_source::fire() noexcept {
  woken_chain woken;
  {
    lock_guard held(lock_);
    // relaxed: stored under the lock only
    if (fired_.load(relaxed)) return false;
    fire_locked(woken);
  }
  wake_all(woken);
  return true;
}

bool cancel_source::enrol(waiter& place) noexcept {
  place.state->meets(home_);
  lock_guard held(lock_);
  // relaxed: stored under the lock only
  if (fired_.load(relaxed)) return false;
  place.guard = &lock_;
  waiters_.push_back(place);
  return true;
}

}  // namespace weft::inline WEFT_ABI::detail
