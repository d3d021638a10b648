// Switching between fibers and the loop, and parking: what every operation that blocks passes.
//
// Arrival     whoever is switched to first says where the departed side stands (arrived), then does
//             what the departed one left to do (finish_departure): the park commit, or freeing an
//             ended fiber. Both are done before anything else, on the far side's stack.
// Bracket     the departing side enters the bracket, the arriving side leaves it: the machine is in
//             the runtime over the whole switch.
// Direct      a parking fiber switches straight to the next one if that one has a stack or its
//             processor has a warm one, neither is pinned and the processor is still there; else to
//             the loop, which commits first and then prepares.
// Inline      a park is one function down to the jump: each frame between is a return that is
//             predicted wrongly where the two sides blocked in different operations.
#pragma once

#include <utility>

#include "weft/sched/departure.hpp"
#include "weft/sched/misuse.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

// Fibers that keep readying each other share one slice; this bounds it where nobody samples slices.
inline constexpr std::uint32_t max_inherited = 1000;

WEFT_ALWAYS_INLINE fiber* scheduler::next_local(processor& p) noexcept {
  p.count_pick();
  // relaxed: a look that saves the exchange
  if (p.run_next.load(relaxed) != nullptr && (++p.inherited < max_inherited || p.queue.empty())) {
    if (fiber* f = p.run_next.exchange(nullptr, acquire)) return f;  // pairs: processor.run_next
  }
  if (!p.started.empty()) {
    if (++p.inherited < max_inherited) {
      if (fiber* f = p.started.pop()) return f;
    }
    queue_started(p);
  }
  fiber* f = p.queue.pop();
  if (f != nullptr) {
    p.inherited = 0;
    p.slice.store(p.slice.load(relaxed) + 1, relaxed);  // relaxed: owner; sysmon samples it
  }
  return f;
}

WEFT_ALWAYS_INLINE void scheduler::finish_departure(machine& m) noexcept {
  if (m.ended != nullptr) {
    fiber* f = m.ended;
    m.ended = nullptr;
    reap(m, f);
  }
  if (wait_state::commit commit = m.commit) {
    m.commit = nullptr;
    commit(m.commit_argument);
  }
}

// A fiber that can be switched to from a fiber's stack: nothing here may block or take long.
WEFT_ALWAYS_INLINE fiber* scheduler::pick_direct(machine& m) noexcept {
  processor* p = m.p;
  if (p == nullptr || m.pinned != nullptr || is_alone() || p->is_time_to_look_around() ||
      p->id >= procs() || is_stopping_.load(acquire))  // pairs: sched.stopping
    return nullptr;
  fiber* next = next_local(*p);
  if (next == nullptr) return nullptr;
  const bool bound = next->on || bind(m, next, true);
  if (WEFT_LIKELY(bound && next->pinned_to == nullptr)) return next;
  put_back(*p, next);
  return nullptr;
}

// From a fiber to the next one, or (null) to the loop. Inside the bracket, and it stays so: the
// arriving side leaves it.
WEFT_ALWAYS_INLINE void scheduler::switch_to(machine& m, fiber& from, fiber* next, bool ends) {
  m.set_current(next);
  if (next != nullptr) next->set_state(fiber_state::running);
  const transfer_t t = leave_for(from.self, next != nullptr ? next->self : m.loop, m.thread, ends);
  // Somebody has resumed us, perhaps on another machine.
  machine& here = *current_machine();
  arrived(t, from.self, here.thread);
  here.home->finish_departure(here);
}

WEFT_ALWAYS_INLINE void scheduler::park_current(wait_state* wait, wait_reason reason,
                                                wait_state::commit commit, void* argument) {
  machine& m = *current_machine();
  fiber& f = *m.current();
  if (WEFT_UNLIKELY(enter(m) != 0)) report_nested_entry();
  const bool in_call = f.in_call.load(relaxed);  // relaxed: its own
  if (WEFT_UNLIKELY(in_call)) static_cast<void>(take_lent_back(m));
  note_parking(m, f);
  f.wait = wait;
  f.reason.store(reason, relaxed);       // relaxed: for reports
  f.since.store(coarse_now(), relaxed);  // relaxed: for reports
  f.set_state(fiber_state::parked);
  on_departure(f, departure::park);
  m.commit = commit;
  m.commit_argument = argument;
  switch_to(m, f, pick_direct(m), false);
  f.wait = nullptr;
  machine& here = *current_machine();
  if (WEFT_UNLIKELY(in_call)) lend_processor(here);
  leave(here, 0);
}

}  // namespace weft::inline WEFT_ABI::detail
