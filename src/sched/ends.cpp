// The end of a run: stopping the machines, unwinding or abandoning the fibers that are left.
//
// Stop        is_stopping_ sends every machine out of its loop at its next choice; running fibers
//             are asked to yield. A machine that sleeps for a pinned fiber stays until the last
//             stop.
// Unwind      with the machines stopped nobody resumes a fiber, so each parked one can be
//             interrupted: whoever takes it off its lists (or wins its claim) owns its wake-up. A
//             fiber whose wait was claimed already is about to become runnable by itself. Then the
//             machines start again, and every fiber unwinds when it runs: from its park, at its
//             next runtime entry, or before it begins. One inside a destructor that parks
//             (keeps_stack) goes on until what it waits for has ended.
// Late        until the machines have stopped a timer may still start a fiber: what is there then
//             is unwound too, though the others had all ended.
// Abandon     each parked fiber is taken off its lists, so that no list points to a dead stack.
#include <sched.h>

#include <algorithm>

#include "weft/arch/clock.hpp"
#include "weft/arch/fence.hpp"
#include "weft/arch/report.hpp"
#include "weft/sched/deadlock.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/embedded.hpp"
#include "weft/sched/interrupt.hpp"
#include "weft/sched/misuse.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/sysmon.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::int64_t stop_limit = 10'000'000'000;  // SC-36
// What is left of it at least for machines that only have to wake.
constexpr std::int64_t wake_limit = 200'000'000;

}  // namespace

// Waits for `done()`, which nobody announces: looks at growing distances. Where there are no
// machines the fibers run meanwhile.
template <class Done>
bool scheduler::wait_until(std::int64_t deadline, Done done) {
  std::int64_t pause = 5'000;
  while (!done()) {
    const std::int64_t now = monotonic_ns();
    if (now >= deadline) return false;
    if (loop_ != nullptr) {
      loop_->let_pass(now + pause);
    } else {
      note nobody;
      static_cast<void>(nobody.wait_until(now + pause));
    }
    if (pause < 1'000'000) pause += pause / 2;
  }
  return true;
}

bool scheduler::stop(end_policy policy) {
  if (is_forked_child()) return false;  // its threads are the parent's
  std::int64_t deadline = monotonic_ns() + stop_limit;
  bool unwound = policy != end_policy::abandon;
  if (policy == end_policy::wait) {
    waits_for_all_.store(true, release);   // pairs: sched.main
    threads_in_run.fetch_add(1, relaxed);  // relaxed: counted when nothing moves
    wait_until(never, [this] {
      if (num_fibers() == 0) return true;
      // A seeded run has no sysmon to see it.
      if (is_seeded() && options_.is_closed_world && is_quiescent()) deadlock(*this);
      return false;
    });
    threads_in_run.fetch_sub(1, relaxed);  // relaxed: as above
    deadline = monotonic_ns() + stop_limit;
  } else if (policy == end_policy::unwind) {
    // A hog that has used up the time is not waited for again.
    unwound = unwind_all(deadline);
    deadline =
        unwound ? monotonic_ns() + stop_limit : std::max(deadline, monotonic_ns() + wake_limit);
  }
  // sysmon first: it may start a machine.
  sysmon_->stop();
  bool stopped = stop_machines(true, deadline);
  while (stopped && unwound && !left_after_unwinding_ && num_fibers() != 0) {
    deadline = monotonic_ns() + stop_limit;
    stopped = unwind_all(deadline) && stop_machines(true, deadline);
  }
  if (!stopped) {
    name_machines_that_stay();
    return false;
  }
  abandon_all();
  return true;
}

// True: no machine runs any more. `pinned_too`: those that sleep for a pinned fiber end as well.
bool scheduler::stop_machines(bool pinned_too, std::int64_t deadline) noexcept {
  machine* idle = nullptr;
  {
    lock_guard held(lock_);
    is_stopping_.store(true, release);  // pairs: sched.stopping
    idle = std::exchange(idle_machines_, nullptr);
  }
  while (idle != nullptr) {
    machine* m = std::exchange(idle, idle->next_idle);
    m->wake.wake();
  }
  poller_->break_wait();
  return wait_until(deadline,
                    [&] {
                      const auto& alive = pinned_too ? live_machines_ : awake_machines_;
                      if (alive.load(acquire) == 0) return true;  // pairs: sched.machines
                      // Again and again: a machine may have cleared its reasons just before it
                      // looked. pairs: sched.machines
                      for (machine* m = machines_.load(acquire); m != nullptr;
                           m = m->next_machine) {
                        set_reason(*m, attention::yield);
                        if (pinned_too && m->sleeps_pinned.load(acquire))
                          m->wake.wake();  // pairs: sched.machines
                      }
                      return false;
                    }) &&
         (join_machines(), true);
}

void scheduler::join_machines() noexcept {
  // pairs: sched.machines
  for (machine* m = machines_.load(acquire); m != nullptr; m = m->next_machine) {
    if (!m->has_ended.load(acquire)) continue;  // pairs: sched.machines
    // Whoever started it may not have returned from that yet.
    while (!m->is_launched.load(acquire)) ::sched_yield();  // pairs: sched.machines
    if (m->os.is_joinable()) m->os.join();
  }
}

void scheduler::resume_machines() noexcept {
  is_stopping_.store(false, release);  // pairs: sched.stopping
  full_fence();
  if (has_visible_work()) wake_one();
}

// False: a fiber runs on without a runtime entry until `deadline`, and nothing was unwound.
bool scheduler::unwind_all(std::int64_t deadline) {
  if (!stop_machines(false, deadline)) return false;
  is_unwinding_.store(true, release);  // pairs: sched.unwinding
  fiber_chain interrupted;
  for_each_record([&](fiber& f) {
    // A timer that sysmon fires, another runtime or a plain thread may be making a fiber just now:
    // that one learns of the end when it parks.
    const fiber_state state = f.state.load(acquire);     // pairs: sched.wakes
    const bool is_service = f.is_service.load(relaxed);  // relaxed: the machines are stopped
    if (state == fiber_state::free || state == fiber_state::fresh || is_service) return;
    // One that is being unwound already waits in a destructor, for what has to come by itself.
    if (f.extra() != nullptr && f.extra()->unwinding.is_active()) return;
    f.exits = true;
    if (state == fiber_state::parked && f.keeps_stack == 0 && interrupt(f)) {
      f.set_state(fiber_state::runnable);
      interrupted.push_back(&f);
    }
  });
  resume_machines();
  if (!interrupted.empty()) inject(interrupted);
  // Those that park in a destructor for something that never comes stay; abandon_all names them.
  std::uint64_t seen = 0;
  int quiet_looks = 0;
  wait_until(never, [&] {
    if (num_fibers() == 0) return true;
    const std::uint64_t wakes = wakes_.load(acquire);  // pairs: sched.wakes
    const bool quiet = is_quiescent() && wakes == seen;
    seen = wakes;
    quiet_looks = quiet ? quiet_looks + 1 : 0;
    return quiet_looks > 20;
  });
  is_unwinding_.store(false, release);  // pairs: sched.unwinding
  left_after_unwinding_ = num_fibers() != 0;
  return true;
}

// No machine runs. The stacks and records go with the scheduler.
void scheduler::abandon_all() noexcept {
  if (left_after_unwinding_) {
    report out;
    out.line("weft: these fibers could not be unwound, they wait in a destructor:");
    dump_fibers(*this, out, dump_style::full);
  }
  for_each_record([&](fiber& f) {
    const fiber_state state = f.state.load(relaxed);  // relaxed: the machines are stopped
    if (state == fiber_state::free) return;
    has_abandoned_ = true;
    if (f.wait == nullptr) return;
    // A plain thread may be about to wake it, and touches the wait until it has.
    if (state == fiber_state::parked && !f.wait->take_over()) {
      while (f.state.load(acquire) == fiber_state::parked) ::sched_yield();  // pairs: sched.wakes
    }
    // One that was woken and has not run since still stands in the other lists of its select.
    f.wait->detach();
  });
  while (foreign_readies_.load(acquire) != 0) ::sched_yield();  // pairs: sched.wakes
}

void scheduler::name_machines_that_stay() noexcept {
  report out;
  out.line(
      "weft: the runtime was stopped, but these fibers have run on for ten seconds without a "
      "runtime entry; their threads and stacks stay:");
  // pairs: sched.machines
  for (machine* m = machines_.load(acquire); m != nullptr; m = m->next_machine) {
    if (m->has_ended.load(acquire)) continue;  // pairs: sched.machines
    if (fiber* f = m->current()) dump_fiber(*f, out, dump_style::plain);
  }
}

// Takes a parked fiber's wake-up over. The caller knows that it is parked and that nobody resumes
// it. False: somebody else has it already.
bool interrupt(fiber& f) noexcept { return f.wait != nullptr && f.wait->take_over(); }

bool wait_state::take_over() noexcept {
  if (kind_ == kind::shared) {
    if (try_claim_shared(no_index - claimed) != claim::parked) return false;
    detach();
    return true;
  }
  if (place_count_ == 0) return true;  // nobody else could wake it
  waiter& only = places_[0];
  if (only.guard == nullptr) return true;
  lock_guard held(*only.guard);
  if (!only.is_linked()) return false;
  only.unlink();
  return true;
}

}  // namespace weft::inline WEFT_ABI::detail
