// The rare paths of the wait group: zero with waiters, and misuse.
#include "weft/sync/wait_group.hpp"

#include "weft/base/error.hpp"

namespace weft::inline WEFT_ABI::detail {

void wait_group_core::add_slow(std::int64_t before, std::int64_t step) {
  if (step == 0) return;  // at word 1, where a release is under way already
  const char* misuse = nullptr;
  if (before + step < 0) {
    misuse = "sync: negative WaitGroup counter";
  } else if (before == zero_gate::waiting) {
    misuse = "sync: WaitGroup misuse: Add called concurrently with Wait";
  }
  if (misuse == nullptr) {
    gate_.release_all();
    return;
  }
  gate_.undo(step);
  throw_usage_error(misuse);
}

// A point of preemption; and the caller's bubble has the wait group from its first add on.
void wait_group_core::join_test_world() {
  pass_entry();
  const bubble_id caller = bubble_of_caller();
  bubble_id home = home_.load(relaxed);  // relaxed: exchanged below
  for (;;) {
    if (home == caller) return;
    const bool is_free = home == no_bubble || !is_bubble_alive(home);
    if (!is_free && caller != no_bubble)
      throw_usage_error("sync: WaitGroup.Add called from multiple synctest bubbles");
    if (!is_free || gate_.counter() != 0)
      throw_usage_error("sync: WaitGroup.Add called from inside and outside synctest bubble");
    // relaxed: nothing is published with it
    if (home_.compare_exchange(home, caller, relaxed)) return;
  }
}

void wait_group_core::leave_bubble() noexcept {
  bubble_id home = bubble_of_caller();
  if (home == no_bubble || !gate_.is_open()) return;
  static_cast<void>(home_.compare_exchange(home, no_bubble, relaxed));  // relaxed: as above
}

wait_end wait_group_core::wait_slow(const wait_limits& limits) {
  bool has_waited = false;
  const wait_end end = gate_.wait(wait_reason::wait_group_wait, limits, has_waited,
                                  // relaxed: the caller's bubble, or another
                                  {home_.load(relaxed), false});
  // Only a wait that stood in the queue can be late: one that found zero has just seen it.
  if (end == wait_end::granted && has_waited && gate_.counter() > 0)
    throw_usage_error("sync: WaitGroup is reused before previous Wait has returned");
  return end;
}

void wait_group_core::throw_out_of_range() {
  throw_usage_error("sync: WaitGroup counter out of range");
}

}  // namespace weft::inline WEFT_ABI::detail
