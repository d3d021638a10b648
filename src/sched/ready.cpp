// Making fibers runnable, and whom to wake for it.
//
// Policy      A fiber made ready goes into run_next. To wake another machine for it costs the waker
//             more than hundreds of switches, and mostly for nothing: the waker parks soon and runs
//             it itself. So each fiber carries a small counter, as a branch predictor does: has it
//             parked soon after making one other fiber ready, the last times? Predicted so, nobody
//             is woken. If it then does not park, sysmon finds the fiber in run_next with a
//             processor idle, wakes a machine and resets the counter: the next time that waker
//             wakes at once. A second runnable fiber always wakes somebody. The same holds for a
//             new fiber, which goes to those that were started here.
//             A waker that computes on for less than sysmon's tick is found by the clock: where
//             somebody is woken, and every 32nd time where nobody is, the time to the park is
//             taken, and one that is longer than a wake-up resets the counter.
#include <utility>

#include "weft/arch/clock.hpp"
#include "weft/arch/fence.hpp"
#include "weft/sched/bubble.hpp"
#include "weft/sched/misuse.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr unsigned char surely_parks = 3;
constexpr unsigned char likely_parks = 2;
// A predicted park is timed every so many times; a later one than this was worth a wake-up.
constexpr unsigned char timed_every = 32;
constexpr std::int64_t soon = 10'000;

constexpr std::uint32_t half = run_queue<fiber>::capacity / 2;

// What was taken out of a full queue goes to the global one.
void overflow(scheduler& s, fiber* const* older, std::uint32_t n) noexcept {
  fiber_chain chain;
  for (std::uint32_t i = 0; i < n; ++i) chain.push_back(older[i]);
  s.inject(chain);
}

}  // namespace

void ready(fiber* f) noexcept {
  // Its arrival acquires it: see arch/atomic.hpp.
  if (WEFT_UNLIKELY(has_thread_sanitizer())) tell_release(&f->self);
  if (WEFT_UNLIKELY(f->bubble() != nullptr)) count_in(*f);
  machine* m = current_machine();
  if (m == nullptr || m->home != f->home) {
    f->home->ready_from_outside(f);
    return;
  }
  const std::uint32_t outer = enter(*m);
  f->home->ready_local(*m, f);
  leave(*m, outer);
}

void submit(fiber* f) noexcept {
  machine* m = current_machine();
  // With a seed it is the seed that chooses the order.
  if (m == nullptr || m->home != f->home || f->home->is_seeded()) {
    ready(f);
    return;
  }
  if (WEFT_UNLIKELY(has_thread_sanitizer())) tell_release(&f->self);
  const std::uint32_t outer = enter(*m);
  f->home->start_local(*m, f);
  leave(*m, outer);
}

void scheduler::ready_from_outside(fiber* f) noexcept {
  refuse_forked_child();
  // The end of a run waits for whoever is in here.
  foreign_readies_.fetch_add(1, acq_rel);          // pairs: sched.wakes
  wakes_.fetch_add(1, acq_rel);                    // pairs: sched.wakes
  f->state.store(fiber_state::runnable, release);  // pairs: sched.wakes
  inject(f);
  foreign_readies_.fetch_sub(1, acq_rel);  // pairs: sched.wakes
}

void scheduler::ready_local(machine& m, fiber* f) noexcept {
  f->set_state(fiber_state::runnable);
  processor* p = m.p;
  if (p == nullptr) {
    inject(f);
    return;
  }
  // Thieves only take from it: where it is empty it stays so.
  fiber* kicked = nullptr;
  if (p->run_next.load(relaxed) == nullptr) {  // relaxed: the owner's, but for what thieves take
    p->run_next.store(f, release);             // pairs: processor.run_next
  } else {
    kicked = p->run_next.exchange(f, acq_rel);  // pairs: processor.run_next
  }
  while (kicked != nullptr && !p->queue.push(kicked)) {
    fiber* older[half];
    overflow(*this, older, p->queue.steal(older, half));
  }
  wake_for(m, kicked == nullptr);
}

// A new fiber goes before the older ones (spawn_deque.hpp).
void scheduler::start_local(machine& m, fiber* f) noexcept {
  f->set_state(fiber_state::runnable);
  processor* p = m.p;
  if (p == nullptr) {
    inject(f);
    return;
  }
  const bool only_one = !p->has_work();
  while (!p->started.push(f)) {
    fiber* older[half];
    overflow(*this, older, p->started.take_oldest(older, half));
  }
  wake_for(m, only_one);
}

// After one more fiber became runnable here.
void scheduler::wake_for(machine& m, bool only_one) noexcept {
  if (procs() == 1) return;
  if (only_one) {
    fiber* waker = m.current();
    if (waker == nullptr) return;  // the loop, which takes it next
    waker->has_readied = true;
    // relaxed: a prediction
    const bool parks = waker->parks_after_ready.load(relaxed) >= likely_parks;
    if (!parks || waker->unwoken++ % timed_every == 0) waker->readied_at = monotonic_ns();
    if (parks) return;
  }
  full_fence();
  wake_one();
}

// A fiber is about to leave its machine: was it right to wake nobody for what it readied?
void scheduler::note_parking(machine& m, fiber& f) noexcept {
  if (!f.has_readied) return;
  f.has_readied = false;
  if (f.readied_at != 0) {
    const bool was_soon = monotonic_ns() - std::exchange(f.readied_at, 0) <= soon;
    if (!was_soon) {
      f.parks_after_ready.store(0, relaxed);  // relaxed: a prediction
      return;
    }
  }
  // relaxed: a prediction
  const unsigned char sure = f.parks_after_ready.load(relaxed);
  // relaxed: a prediction
  if (m.p != nullptr && sure < surely_parks &&
      (m.p->run_next.load(relaxed) != nullptr || !m.p->started.empty())) {
    f.parks_after_ready.store(sure + 1, relaxed);  // relaxed: a prediction
  }
}

void scheduler::inject(fiber* f) noexcept {
  {
    lock_guard held(lock_);
    global_.push_back(f);
    global_size_.store(global_.size(), relaxed);  // relaxed: under the lock
  }
  full_fence();
  wake_one();
}

void scheduler::inject(fiber_chain& fibers) noexcept {
  {
    lock_guard held(lock_);
    global_.append(fibers);
    global_size_.store(global_.size(), relaxed);  // relaxed: under the lock
  }
  full_fence();
  wake_one();
}

// After work became visible and a full fence: wakes one machine if a processor is idle and nobody
// looks for work.
void scheduler::wake_one() noexcept {
  // relaxed: behind the caller's fence
  if (idle_count_.load(relaxed) == 0) return;
  if (loop_ != nullptr) {
    break_poller();
    return;
  }
  if (spinning_.load(relaxed) != 0) return;  // relaxed: as above
  int nobody = 0;
  if (!spinning_.compare_exchange(nobody, 1, seq_cst)) return;  // pairs: sched.wake
  machine* m = nullptr;
  processor* p = nullptr;
  bool breaks = false;
  bool wakes_sysmon = false;
  {
    lock_guard held(lock_);
    // relaxed: set under the lock
    if (idle_processors_ != nullptr && !is_stopping_.load(relaxed)) {
      if (idle_machines_ != nullptr) {
        m = idle_machines_;
        idle_machines_ = m->next_idle;
      } else if (poller_sleeps_) {
        breaks = !poller_broken_;
        poller_broken_ = true;
      }
      if (!poller_broken_ || m != nullptr) p = pop_idle_processor_locked(wakes_sysmon);
    }
    // Not later: others may have woken nobody because of our mark. Who puts a processor into the
    // idle list after this, or leaves the poller, finds their work, and finds nobody spinning.
    if (p == nullptr) spinning_.fetch_sub(1, seq_cst);  // pairs: sched.wake
  }
  if (wakes_sysmon) wake_sysmon();
  if (p != nullptr) start_with(*p, m, true);
  if (breaks) poller_->break_wait();
}

// If a machine sleeps in the poller and nobody has broken that yet.
void scheduler::break_poller() noexcept {
  {
    lock_guard held(lock_);
    if (!poller_sleeps_ || poller_broken_) return;
    poller_broken_ = true;
  }
  poller_->break_wait();
}

}  // namespace weft::inline WEFT_ABI::detail
