// Calls that may block the OS thread: the processor stays marked, and may be taken by one CAS.
//
// Model       enter: the processor's status goes from running|m to blocking|m. While it is so,
//             sysmon may CAS it away when work waits. leave: CAS back; where that fails the
//             processor is gone, and the fiber takes an idle one or queues.
//             Meanwhile the machine has no processor, so that what f calls of the runtime, a nested
//             blocking(f) included, works as for a hog that has lost it.
//             A call that parks all the same (it uses a channel, say) takes the processor back for
//             the switch, and lends whichever it comes back with.
//             The machine's number in the word makes a stale CAS fail: the same processor may be in
//             another machine's blocking call by then.
// Limit       at most max_blocking calls at once; the others wait, first come, first served.
// Order       pair processor.status: see processor.hpp.
#include <utility>

#include "weft/arch/fence.hpp"
#include "weft/arch/note.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

void scheduler::enter_blocking() {
  const int limit = static_cast<int>(options_.max_blocking);
  if (WEFT_UNLIKELY(in_blocking_.fetch_add(1, acq_rel) >= limit)) {  // pairs: sched.blocking
    wait_for_blocking_slot();
  }
  machine& m = *current_machine();
  enter(m);
  m.current()->in_call.store(true, relaxed);  // relaxed: for reports
  lend_processor(m);
  leave(m, 0);
}

// Inside the bracket. From here on anybody may take the processor.
void scheduler::lend_processor(machine& m) noexcept {
  processor* p = std::exchange(m.p, nullptr);
  if (p == nullptr) return;
  m.lent = p;
  std::uint32_t mine = processor::word(processor::running, m.id);
  // Nobody else moves it from running: the exchange publishes what we did to it.
  static_cast<void>(p->status.compare_exchange(mine, processor::word(processor::blocking, m.id),
                                               release));  // pairs: processor.status
  // What it has readied and meant to run itself would wait for sysmon.
  if (p->has_work() && procs() > 1) {
    full_fence();
    wake_one();
  }
}

// Inside the bracket. False: it was taken meanwhile, or there was none.
bool scheduler::take_lent_back(machine& m) noexcept {
  processor* p = std::exchange(m.lent, nullptr);
  if (p == nullptr) return false;
  std::uint32_t mine = processor::word(processor::blocking, m.id);
  // pairs: processor.status
  if (!p->status.compare_exchange(mine, processor::word(processor::running, m.id), acq_rel))
    return false;
  m.p = p;
  return true;
}

void scheduler::leave_blocking() {
  machine& m = *current_machine();
  m.current()->in_call.store(false, relaxed);  // relaxed: for reports
  // Not bracketed by attention: in blocking only the status word changes hands.
  m.in_runtime.store(1, relaxed);  // relaxed: own word
  const bool lost = m.p == nullptr && !take_lent_back(m) && !acquire_idle(m);
  if (lost && !m.is_hog) {
    // Until it is in a queue it counts as one: something runs.
    m.is_hog = true;
    hogs_.fetch_add(1, acq_rel);  // pairs: sched.hogs
  }
  leave(m, 0);
  blocking_slot_free();
  if (lost) yield_current();
}

void scheduler::blocking_slot_free() noexcept {
  const int limit = static_cast<int>(options_.max_blocking);
  if (WEFT_LIKELY(in_blocking_.fetch_sub(1, acq_rel) <= limit)) return;  // pairs: sched.blocking
  waiter* w = nullptr;
  {
    lock_guard held(blocking_lock_);
    w = pop_claimed(blocking_waiters_);
    if (w != nullptr) w->ok = true;
    // It is just coming: it finds the slot under the lock.
    if (w == nullptr) ++blocking_slots_;
  }
  if (w != nullptr) w->state->wake();
}

void scheduler::wait_for_blocking_slot() {
  waiter place;
  wait_state wait(wait_state::kind::single, wait_reason::blocking_limit, &place, 1);
  place.guard = &blocking_lock_;
  blocking_lock_.lock();
  if (blocking_slots_ != 0) {
    --blocking_slots_;
    blocking_lock_.unlock();
    return;
  }
  blocking_waiters_.push_back(place);
  try {
    wait.park(blocking_lock_);
  } catch (...) {
    // Unwound here: the call will not begin, and a slot that it was given goes on.
    if (place.ok) {
      blocking_slot_free();
    } else {
      in_blocking_.fetch_sub(1, acq_rel);  // pairs: sched.blocking
    }
    throw;
  }
}

// By sysmon: work waits, and `seen` was the status then. True: the processor went to another
// machine.
bool scheduler::retake_from_blocking(processor& p, std::uint32_t seen) noexcept {
  std::uint32_t status = seen;
  // pairs: processor.status
  if (!p.status.compare_exchange(status, processor::idle, acquire)) return false;
  hand_off(p);
  return true;
}

}  // namespace weft::inline WEFT_ABI::detail
