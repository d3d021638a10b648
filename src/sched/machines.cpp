// Machines and processors: who holds what, who sleeps where, who is woken.
#include <algorithm>
#include <new>
#include <utility>

#include "weft/arch/altstack.hpp"
#include "weft/arch/clock.hpp"
#include "weft/arch/fence.hpp"
#include "weft/arch/report.hpp"
#include "weft/sched/reports.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/sysmon.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

// --- holding a processor ---

void scheduler::hold(machine& m, processor& p) noexcept {
  m.p = &p;
  p.holder.store(&m, relaxed);  // relaxed: a hint for reports and set_procs
  p.status.store(processor::word(processor::running, m.id), release);  // pairs: processor.status
  if (m.is_hog) hog_ends(m);
}

void scheduler::hog_ends(machine& m) noexcept {
  m.is_hog = false;
  hogs_.fetch_sub(1, acq_rel);  // pairs: sched.hogs
}

processor* scheduler::pop_idle_processor_locked(bool& wakes_sysmon) noexcept {
  processor* p = idle_processors_;
  if (p == nullptr) return nullptr;
  idle_processors_ = p->next_idle;
  idle_count_.fetch_sub(1, relaxed);  // relaxed: ordered by the fences of the wake protocol
  if (sysmon_sleeps_) {
    sysmon_sleeps_ = false;
    wakes_sysmon = true;
  }
  return p;
}

bool scheduler::acquire_idle(machine& m) noexcept {
  if (idle_count_.load(acquire) == 0) return false;  // pairs: sched.idle
  processor* p = nullptr;
  bool wakes_sysmon = false;
  {
    lock_guard held(lock_);
    p = pop_idle_processor_locked(wakes_sysmon);
  }
  if (wakes_sysmon) wake_sysmon();
  if (p == nullptr) return false;
  hold(m, *p);
  return true;
}

// To the idle list, or out of service when it is one too many. The lock is held. Whoever waits for
// the last one too many is moved to `woken`.
void scheduler::release_to_idle_locked(processor& p, woken_chain& woken) noexcept {
  p.holder.store(nullptr, relaxed);  // relaxed: a hint
  if (p.id < procs()) {
    p.status.store(processor::idle, release);  // pairs: processor.status
    p.next_idle = idle_processors_;
    idle_processors_ = &p;
    idle_count_.fetch_add(1, release);  // pairs: sched.idle
    return;
  }
  p.status.store(processor::retired, release);  // pairs: processor.status
  // pairs: processor.run_next
  if (fiber* f = p.run_next.exchange(nullptr, acq_rel)) global_.push_back(f);
  while (fiber* f = p.queue.pop()) global_.push_back(f);
  while (fiber* f = p.started.pop()) global_.push_back(f);
  global_size_.store(global_.size(), relaxed);  // relaxed: under the lock
  // relaxed: under the lock
  if (excess_.load(relaxed) != 0 && excess_.fetch_sub(1, relaxed) == 1) {
    while (waiter* w = pop_claimed(procs_waiters_)) woken.push_back(w);
  }
}

void scheduler::release_to_idle(processor& p) noexcept {
  woken_chain woken;
  {
    lock_guard held(lock_);
    release_to_idle_locked(p, woken);
  }
  full_fence();
  wake_all(woken);
}

void scheduler::give_up_processor(machine& m) noexcept {
  drop_spinning(m);
  if (processor* p = std::exchange(m.p, nullptr)) hand_off(*p);
}

// Between two machines nobody holds it. Left as the last holder's it could be taken from that one
// once more, when it holds another by then and the next one is slow to wake.
void scheduler::in_transit(processor& p) noexcept {
  p.holder.store(nullptr, relaxed);          // relaxed: a hint
  p.status.store(processor::idle, release);  // pairs: processor.status
}

// A processor whose machine can't use it: another one takes it if there is anything to do.
void scheduler::hand_off(processor& p) noexcept {
  in_transit(p);
  const bool last_one = idle_count_.load(acquire) + 1 >= procs() &&  // pairs: sched.idle
                        !polling_.load(relaxed);                     // relaxed: a hint
  if (p.id < procs() && !is_stopping_.load(relaxed) &&  // relaxed: looked at again by the machine
      (p.has_work() || has_visible_work() || last_one ||
       // Its timers, or whichever is first: somebody has to sleep until then.
       earliest_timer() < poll_until_.load(seq_cst))) {  // pairs: sched.until
    start_with(p, take_idle_machine(), false);
    return;
  }
  release_to_idle(p);
  if (has_visible_work()) wake_one();
}

void scheduler::retire(machine& m) noexcept {
  drop_spinning(m);
  release_to_idle(*std::exchange(m.p, nullptr));
  if (has_visible_work()) wake_one();
}

void scheduler::wake_sysmon() noexcept { sysmon_->wake(); }

// --- going to sleep ---

// Anything that a machine with a processor would find.
bool scheduler::has_visible_work() const noexcept {
  if (global_size_.load(relaxed) != 0) return true;  // relaxed: behind the caller's fence
  const unsigned n = made_.load(acquire);            // pairs: sched.processors
  std::int64_t first = never;
  for (unsigned i = 0; i < n; ++i) {
    const processor* p = processors_[i].load(acquire);  // pairs: sched.processors
    if (p == nullptr) continue;
    if (p->has_work()) return true;
    first = std::min(first, p->timers.next_due());
  }
  return first != never && first <= monotonic_ns();
}

std::int64_t scheduler::earliest_timer() const noexcept {
  std::int64_t first = never;
  const unsigned n = made_.load(acquire);  // pairs: sched.processors
  for (unsigned i = 0; i < n; ++i) {
    const processor* p = processors_[i].load(acquire);  // pairs: sched.processors
    if (p != nullptr) first = std::min(first, p->timers.next_due());
  }
  return first;
}

// The machine found nothing: gives up its processor, looks once more, and sleeps.
void scheduler::go_idle(machine& m) noexcept {
  woken_chain woken;
  {
    lock_guard held(lock_);
    if (!global_.empty()) return;
    release_to_idle_locked(*m.p, woken);
  }
  m.p = nullptr;
  drop_spinning(m);
  full_fence();
  wake_all(woken);
  if (has_visible_work() && acquire_idle(m)) {
    static_cast<void>(start_spinning(m));
    return;
  }
  if (!polling_.exchange(true, acq_rel)) {  // pairs: sched.polling
    sleep_in_poller();
  } else {
    // The poller sleeps until a timer that was the first when it went to sleep.
    const std::int64_t first = earliest_timer();
    sleep_on_note(m, first < poll_until_.load(seq_cst) ? first : never);  // pairs: sched.until
  }
}

void scheduler::sleep_in_poller() noexcept {
  {
    lock_guard held(lock_);
    poller_sleeps_ = true;
    poller_broken_ = is_stopping_.load(relaxed);  // relaxed: set under the lock
  }
  const std::int64_t deadline = publish_poll_deadline();
  if (!is_stopping_.load(acquire)) {  // pairs: sched.stopping
    asleep_.fetch_add(1, relaxed);    // relaxed: a counter for reports
    poller_->wait(deadline);
    asleep_.fetch_sub(1, relaxed);  // relaxed: likewise
  }
  end_poll();
}

// Until when the poller is about to sleep: who arms an earlier timer from now on breaks it.
std::int64_t scheduler::publish_poll_deadline() noexcept {
  std::int64_t deadline = earliest_timer();
  for (;;) {
    poll_until_.store(deadline, seq_cst);  // pairs: sched.until
    full_fence();
    const std::int64_t again = earliest_timer();
    if (again >= deadline) return deadline;
    deadline = again;
  }
}

// It is awake: nobody needs to break it any more.
void scheduler::end_poll() noexcept {
  coarse_now_.store(monotonic_ns(), relaxed);  // relaxed: for reports
  {
    lock_guard held(lock_);
    poller_sleeps_ = false;
    poller_broken_ = false;
  }
  poll_until_.store(never, seq_cst);  // pairs: sched.until
  polling_.store(false, release);     // pairs: sched.polling
}

// Until a processor was handed over, or the machines shall end; with a deadline perhaps without
// one.
void scheduler::sleep_on_note(machine& m, std::int64_t deadline) noexcept {
  {
    lock_guard held(lock_);
    if (is_stopping_.load(relaxed)) return;  // relaxed: set under the lock
    m.next_idle = idle_machines_;
    idle_machines_ = &m;
  }
  asleep_.fetch_add(1, relaxed);  // relaxed: a counter for reports
  const bool woken = m.wake.wait_until(deadline) || !leave_idle_list(m);
  if (woken) m.wake.wait();
  asleep_.fetch_sub(1, relaxed);               // relaxed: likewise
  coarse_now_.store(monotonic_ns(), relaxed);  // relaxed: for reports
  if (woken) take_handed(m);
}

// False: somebody has taken it off and is about to wake it.
bool scheduler::leave_idle_list(machine& m) noexcept {
  lock_guard held(lock_);
  for (machine** at = &idle_machines_; *at != nullptr; at = &(*at)->next_idle) {
    if (*at == &m) {
      *at = m.next_idle;
      return true;
    }
  }
  return false;
}

void scheduler::take_handed(machine& m) noexcept {
  m.wake.clear();
  m.is_spinning = std::exchange(m.handed_spinning, false);
  if (processor* p = std::exchange(m.handed, nullptr)) hold(m, *p);
}

// A timer became the first of its heap: whoever sleeps past it is woken.
void scheduler::armed(std::int64_t due) noexcept {
  full_fence();
  if (due >= poll_until_.load(seq_cst)) return;  // pairs: sched.until
  machine* m = current_machine();
  // A machine with a processor looks at its timers itself, before it sleeps.
  if (m != nullptr && m->home == this && m->p != nullptr) return;
  if (polling_.load(acquire)) {  // pairs: sched.polling
    break_poller();
  } else {
    wake_sleeping_sysmon();
  }
}

// Nobody sleeps until a timer is due: if all are idle, sysmon sends somebody.
void scheduler::wake_sleeping_sysmon() noexcept {
  bool sleeps = false;
  {
    lock_guard held(lock_);
    sleeps = std::exchange(sysmon_sleeps_, false);
  }
  if (sleeps) wake_sysmon();
}

// --- waking and starting ---

machine* scheduler::take_idle_machine() noexcept {
  lock_guard held(lock_);
  machine* m = idle_machines_;
  if (m != nullptr) idle_machines_ = m->next_idle;
  return m;
}

// `m`: off the idle list; null: a new one. The processor is the caller's to give.
void scheduler::start_with(processor& p, machine* m, bool spinning) noexcept {
  if (m == nullptr) {
    m = new_machine();
    if (m == nullptr) {
      // The system has no thread to give. What is there works on; the work stays visible to it.
      if (spinning) spinning_.fetch_sub(1, seq_cst);  // pairs: sched.wake
      release_to_idle(p);
      return;
    }
    m->handed = &p;
    m->handed_spinning = spinning;
    // The thread begins only now: it finds what was handed to it.
    if (!launch(*m)) {
      if (spinning) spinning_.fetch_sub(1, seq_cst);  // pairs: sched.wake
      m->handed = nullptr;
      m->handed_spinning = false;
      release_to_idle(p);
      // If there is a spare one already, this one stays unused in the list.
      machine* none = nullptr;
      // pairs: sched.machines
      static_cast<void>(spare_machine_.compare_exchange(none, m, acq_rel));
    }
    return;
  }
  m->handed = &p;
  m->handed_spinning = spinning;
  m->wake.wake();
}

struct machine_starter {
  static void* thread(void* argument) noexcept {
    machine& m = *static_cast<machine*>(argument);
    alt_stack signals;
    m.thread = thread_state_of_caller();
    m.thread_id.store(current_thread_id(), relaxed);  // relaxed: for reports
    describe_own_thread(m.loop);
    set_this_machine(&m);
    m.home->machine_main(m);
    set_this_machine(nullptr);
    return nullptr;
  }
};

void scheduler::machine_main(machine& m) noexcept {
  m.in_runtime.store(1, relaxed);  // relaxed: own word; before it holds what could be taken from it
  // relaxed: what is seen here is seen by all its light fences; pairs: attention.fences
  m.passes_full_fences.store(fence_needs_instruction.load(relaxed), release);
  take_handed(m);
  if (is_seeded()) set_reason(m, attention::yield);  // every entry is counted
  run_machine(m);
  if (m.is_hog) hog_ends(m);
  drop_spinning(m);
  if (processor* p = std::exchange(m.p, nullptr)) release_to_idle(*p);
  m.has_ended.store(true, release);       // pairs: sched.machines
  awake_machines_.fetch_sub(1, acq_rel);  // pairs: sched.machines
  live_machines_.fetch_sub(1, acq_rel);   // pairs: sched.machines
}

machine* scheduler::new_machine() noexcept {
  // One whose thread was refused is there already.
  if (machine* m = spare_machine_.exchange(nullptr, acq_rel)) return m;  // pairs: sched.machines
  if (live_machines_.load(acquire) >= options_.max_machines)             // pairs: sched.machines
    report_too_many_machines(options_.max_machines);
  const unsigned number = machine_count_.fetch_add(1, relaxed) + 1;  // relaxed: only unique
  auto* m = new (std::nothrow) machine(*this, number);
  if (m == nullptr) {
    machine_count_.fetch_sub(1, relaxed);  // relaxed: as above
    return nullptr;
  }
  m->random.seed(number * 0x9e3779b97f4a7c15U);
  return m;
}

bool scheduler::launch(machine& m) noexcept {
  live_machines_.fetch_add(1, acq_rel);   // pairs: sched.machines
  awake_machines_.fetch_add(1, acq_rel);  // pairs: sched.machines
  if (!std::exchange(m.is_listed, true)) {
    m.next_machine = machines_.load(relaxed);                           // relaxed: exchanged below
    while (!machines_.compare_exchange(m.next_machine, &m, acq_rel)) {  // pairs: sched.machines
    }
  }
  thread_options options;
  options.name = "weft";
  if (m.os.start(machine_starter::thread, &m, options) == std::errc{}) {
    m.is_launched.store(true, release);  // pairs: sched.machines
    return true;
  }
  awake_machines_.fetch_sub(1, acq_rel);                              // pairs: sched.machines
  if (live_machines_.fetch_sub(1, acq_rel) == 1) report_no_thread();  // pairs: sched.machines
  return false;
}

// --- pinned fibers ---

// This machine runs nothing but its pinned fiber, which does not run: sleeps until it is to.
void scheduler::wait_for_pinned(machine& m) noexcept {
  while (m.pinned != nullptr) {
    give_up_processor(m);
    asleep_.fetch_add(1, relaxed);          // relaxed: a counter for reports
    awake_machines_.fetch_sub(1, acq_rel);  // pairs: sched.machines
    m.sleeps_pinned.store(true, release);   // pairs: sched.machines
    m.wake.wait();
    m.sleeps_pinned.store(false, release);  // pairs: sched.machines
    asleep_.fetch_sub(1, relaxed);          // relaxed: likewise
    take_handed(m);
    fiber* f = std::exchange(m.handed_fiber, nullptr);
    if (f == nullptr) {                       // the machines shall end
      awake_machines_.fetch_add(1, acq_rel);  // pairs: sched.machines
      return;
    }
    run_fiber(m, f);
    if (m.is_hog) hog_ends(m);
  }
}

// The fiber is pinned to another machine, which sleeps until then: it gets the fiber and our
// processor.
void scheduler::hand_to_pinned(machine& m, fiber* f) noexcept {
  if (m.is_spinning) stop_spinning(m);
  machine& owner = *f->pinned_to;
  in_transit(*m.p);
  owner.handed = std::exchange(m.p, nullptr);
  owner.handed_fiber = f;
  // By the waker, which is awake itself: so stop() never finds nobody awake in between.
  awake_machines_.fetch_add(1, acq_rel);  // pairs: sched.machines
  owner.wake.wake();
}

}  // namespace weft::inline WEFT_ABI::detail
