// The seams of time and of choice: what time it is for the caller, and which of several things
// happens.
#include <limits>

#include "weft/arch/clock.hpp"
#include "weft/sched/bubble.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

std::int64_t scheduler::now() const noexcept {
  // relaxed: of a seeded run, which has one machine
  return is_seeded() ? virtual_now_.load(relaxed) : monotonic_ns();
}

namespace {

// In which the caller is, or null.
bubble_state* bubble_of_caller_or_null() noexcept {
  if (!in_test_world()) return nullptr;
  const fiber* f = this_fiber_or_null();
  return f == nullptr ? nullptr : f->bubble();
}

}  // namespace

std::int64_t now_ns() noexcept {
  if (const bubble_state* b = bubble_of_caller_or_null()) return b->now();
  const machine* m = current_machine();
  return m == nullptr ? monotonic_ns() : m->home->now();
}

std::int64_t due_after(std::int64_t duration_ns) noexcept {
  const std::int64_t now = now_ns();
  if (duration_ns <= 0) return now;
  constexpr std::int64_t last = std::numeric_limits<std::int64_t>::max();
  return duration_ns > last - now ? last : now + duration_ns;
}

void arm(timer_node& node, std::int64_t due) {
  if (bubble_state* b = bubble_of_caller_or_null()) {
    // The bubble's driver looks at it when nobody runs; the caller does.
    static_cast<void>(b->timers.insert(node, due));
    return;
  }
  machine* m = current_machine();
  if (m == nullptr) {
    scheduler& s = scheduler::of_caller();
    processor* p = s.processors_[0].load(acquire);  // pairs: sched.processors
    if (p->timers.insert(node, due)) s.armed(due);
    return;
  }
  scheduler& s = *m->home;
  const std::uint32_t outer = enter(*m);
  // Without a processor any heap will do.
  processor* p =
      m->p != nullptr ? m->p : s.processors_[0].load(acquire);  // pairs: sched.processors
  bool is_first = false;
  try {
    is_first = p->timers.insert(node, due);
  } catch (...) {
    leave(*m, outer);
    throw;
  }
  if (is_first) s.armed(due);
  leave(*m, outer);
}

std::uint32_t choose_below(std::uint32_t n) noexcept {
  if (machine* m = current_machine()) {
    return m->home->is_seeded() ? m->home->seeded_random_.below(n) : m->random.below(n);
  }
  // A plain thread: the sequence is shared, and each number used once.
  static atomic<std::uint64_t> shared{0};
  // relaxed: only different numbers are wanted
  random_source one(shared.fetch_add(0x9e3779b97f4a7c15U, relaxed));
  return one.below(n);
}

}  // namespace weft::inline WEFT_ABI::detail
