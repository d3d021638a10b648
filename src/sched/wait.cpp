// Blocking and waking a task: the bodies of wait_state and multi_wait, and the safepoint.
#include <utility>

#include "weft/arch/unwind.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/bubble.hpp"
#include "weft/sched/cancel_source.hpp"
#include "weft/sched/interrupt.hpp"
#include "weft/sched/look.hpp"
#include "weft/sched/misuse.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/switch_fiber.hpp"
#include "weft/sched/take_away.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// The fiber is to be unwound: now, unless it stands in a destructor that parks.
bool has_to_unwind(const fiber& f) noexcept {
  return f.exits && f.keeps_stack == 0 &&
         (f.extra() == nullptr || !f.extra()->unwinding.is_active());
}

[[noreturn]] void unwind_now(fiber& f) {
  f.exits = true;
  forced_unwind(f.more().unwinding);
}

void refuse_parking_here(const machine& m) {
  if (m.on_system_stack) throw_usage_error("weft::on_system_stack: the callable tried to park");
}

}  // namespace

WEFT_COLD void safepoint_slow() {
  refuse_forked_child();
  machine& m = *current_machine();
  fiber* f = m.current();
  // Inside blocking(f) the processor is lent: there is nothing to yield.
  if (f == nullptr || m.on_system_stack || m.lent != nullptr) return;
  enter(m);
  const std::uint32_t reasons = take_reasons(m);
  if (m.home->is_seeded()) {
    // Every entry comes here: a slice is so many entries.
    set_reason(m, attention::yield);
    const bool over = --m.home->entries_left_ == 0;
    leave(m, 0);
    if (has_to_unwind(*f)) unwind_now(*f);
    if (over) m.home->yield_current();
    return;
  }
  const bool lost = m.p == nullptr && !m.home->acquire_idle(m);
  const bool yields = lost || (reasons & attention::yield) != 0;
  // What came in from outside goes first now, and the yielding fiber behind what waits here: put
  // into the global queue, it would be the first that is found there.
  if (yields && m.p != nullptr) m.p->picks.store(0, relaxed);  // relaxed: owner
  leave(m, 0);
  if (has_to_unwind(*f)) unwind_now(*f);
  if (yields) {
    m.home->yield_current();
    if (has_to_unwind(*f)) unwind_now(*f);
  }
}

void unwind_if_due() {
  fiber* f = this_fiber_or_null();
  if (f != nullptr && has_to_unwind(*f)) unwind_now(*f);
}

void exit_current() {
  fiber* f = this_fiber_or_null();
  if (f == nullptr) throw_usage_error("weft::exit_fiber: called outside of a fiber");
  unwind_now(*f);
}

bool is_being_unwound() noexcept {
  const fiber* f = this_fiber_or_null();
  return f != nullptr && f->extra() != nullptr && f->extra()->unwinding.is_active();
}

claim wait_state::try_claim_shared(std::uint32_t index) noexcept {
  std::uint32_t word = word_.load(relaxed);  // relaxed: exchanged below
  for (;;) {
    if (word >= claimed) return claim::lost;
    const bool is_open = word == open;
    if (word_.compare_exchange(word, claimed + index, acq_rel))  // pairs: waiter.word
      return is_open ? claim::parked : claim::running;
  }
}

bool wait_state::open_for_claims() noexcept {
  std::uint32_t word = arming;
  return word_.compare_exchange(word, open, acq_rel);  // pairs: waiter.word
}

std::uint32_t wait_state::claimed_index() const noexcept {
  const std::uint32_t word = word_.load(acquire);  // pairs: waiter.word
  return word >= claimed ? word - claimed : no_index;
}

void wait_state::wake() noexcept {
  if (fiber* f = fiber_) {
    ready(f);
  } else {
    note_.wake();
  }
}

bubble_id wait_state::bubble_of_task() const noexcept {
  const bubble_state* b = fiber_ == nullptr ? nullptr : fiber_->bubble();
  return b == nullptr ? no_bubble : b->id();
}

// Under the fiber's bubble a timed wait for a lock is durable as well: in no other way could its
// time come. It is not where the owner is known to be outside, who may give the lock up.
WEFT_COLD durability wait_state::durability_in(const bubble_state& b) const noexcept {
  if (home_ == any_bubble || home_ == b.id())
    return is_adopted_ ? durability::adopted : durability::durable;
  const bool is_lock = reason_ == wait_reason::mutex_lock ||
                       reason_ == wait_reason::rw_mutex_lock ||
                       reason_ == wait_reason::rw_mutex_rlock;
  if (!is_lock || deadline_ == never) return durability::none;
  const wait_edge edge{awaited_ == nullptr ? owner_mark::nobody : awaited_->id(),
                       awaited_ == nullptr ? nullptr : awaited_->who()};
  if (edge.whom == owner_mark::nobody) return durability::adopted;
  return is_alive(edge) && edge.record->bubble() == &b ? durability::adopted : durability::none;
}

// The park commit of shared waits, and of single ones that are durable. It may find a shared wait
// fired while its owner was arming; then nobody else readies the fiber.
struct wait_commit {
  wait_state* wait;
  wait_state::commit release_locks;
  void* argument;
  bubble_state* bubble;  // in which the fiber is durably blocked, or null
  durability how;

  static void single(void* self) noexcept {
    const auto [wait, release_locks, argument, bubble, how] = *static_cast<wait_commit*>(self);
    release_locks(argument);
    bubble->blocked(how);
  }
  static void shared(void* self) noexcept {
    const auto [wait, release_locks, argument, bubble, how] = *static_cast<wait_commit*>(self);
    fiber* f = wait->fiber_;
    const bool parked = wait->open_for_claims();
    release_locks(argument);
    if (!parked) ready(f);
    if (WEFT_UNLIKELY(bubble != nullptr)) bubble->blocked(how);
  }
};

// Inlined into all its forms but for the one that select calls.
WEFT_ALWAYS_INLINE std::uint32_t wait_state::park_with(commit release_locks, void* argument) {
  if (fiber_ == nullptr) return park_thread(release_locks, argument);
  machine& m = *current_machine();
  fiber& f = *fiber_;
  refuse_entry_from_handler(m, f);
  if (WEFT_UNLIKELY(m.on_system_stack || f.exits || m.home->is_unwinding())) {
    f.exits |= m.home->is_unwinding() && !f.is_service.load(relaxed);  // relaxed: its own
    if (m.on_system_stack || has_to_unwind(f)) {
      // A single wait must be off its list before the lock goes: who finds it there takes it for
      // parked. A shared one is still arming.
      if (kind_ == kind::single && place_count_ != 0 && places_[0].is_linked()) places_[0].unlink();
      release_locks(argument);
      detach();
      refuse_parking_here(m);
      unwind_now(f);
    }
  }
  durability how = durability::none;
  if (bubble_state* b = f.bubble(); WEFT_UNLIKELY(b != nullptr)) {
    how = durability_in(*b);
    f.durably.store(how, relaxed);  // relaxed: published with the wait
  }
  const bool is_shared = kind_ == kind::shared;
  const bool is_durable = how != durability::none;
  wait_commit published{this, release_locks, argument, is_durable ? f.bubble() : nullptr, how};
  commit publish = release_locks;
  if (is_shared) publish = &wait_commit::shared;
  if (WEFT_UNLIKELY(is_durable && !is_shared)) publish = &wait_commit::single;
  m.home->park_current(this, reason_, publish,
                       is_shared || is_durable ? static_cast<void*>(&published) : argument);
  if (WEFT_UNLIKELY(is_durable)) count_in(f);  // resumed by the end of the run
  if (WEFT_UNLIKELY(f.exits || f.meets_deadlock)) {
    if (std::exchange(f.meets_deadlock, false)) throw_deadlock(f.home->deadlock_dump());
    if (has_to_unwind(f)) {
      detach();
      unwind_now(f);
    }
  }
  return kind_ == kind::single ? no_index : claimed_index();
}

std::uint32_t wait_state::park(commit release_locks, void* argument) {
  return park_with(release_locks, argument);
}

std::uint32_t wait_state::park(spinlock& held) {
  return park_with([](void* lock) noexcept { static_cast<spinlock*>(lock)->unlock(); }, &held);
}

std::uint32_t wait_state::park() {
  return park_with([](void*) noexcept {}, nullptr);
}

std::uint32_t wait_state::park_thread(commit release_locks, void* argument) {
  refuse_forked_child();
  if (kind_ == kind::single) {
    release_locks(argument);
    note_.wait();
    return no_index;
  }
  const bool parked = open_for_claims();
  release_locks(argument);
  if (!parked) return claimed_index();
  // A plain thread is its own timer.
  if (!note_.wait_until(deadline_) && try_claim_shared(timer_index_) == claim::lost) note_.wait();
  return claimed_index();
}

void wait_state::detach() noexcept {
  if (timer_ != nullptr) {
    disarm(*timer_);
    timer_ = nullptr;
  }
  if (cancel_place_ != nullptr) {
    take_off(*cancel_place_);
    cancel_place_ = nullptr;
  }
  // The place that fired was taken off by its source, before the claim.
  const std::uint32_t fired = kind_ == kind::shared ? claimed_index() : no_index;
  for (std::uint32_t i = 0; i < place_count_; ++i) {
    if (places_[i].guard != nullptr && (fired == no_index || places_[i].index != fired))
      take_off(places_[i]);
  }
  place_count_ = 0;
}

void wait_state::take_off(waiter& place) noexcept {
  lock_guard held(*place.guard);
  if (place.is_linked()) place.unlink();
}

std::int64_t multi_wait::on_timer(timer_node& node, std::int64_t) noexcept {
  multi_wait& wait = *static_cast<wait_timer&>(node).owner;
  if (wait.try_claim(wait.timer_index_) != claim::parked) return never;
  // The claim is ours, so the owner waits for this wake-up alone; let its disarm() find nothing.
  node.let_go();
  wait.wake();
  return timer_node::gone;
}

void multi_wait::arm_deadline(std::int64_t deadline, std::uint32_t index) {
  timer_index_ = index;
  deadline_ = deadline;
  if (deadline == never || !is_fiber()) return;
  node_.owner = this;
  node_.fire = on_timer;
  arm(node_, deadline);
  timer_ = &node_;
}

bool multi_wait::watch(cancel_source& source, std::uint32_t index) noexcept {
  cancel_.state = this;
  cancel_.index = index;
  if (!source.enrol(cancel_)) return false;
  cancel_place_ = &cancel_;
  return true;
}

}  // namespace weft::inline WEFT_ABI::detail
