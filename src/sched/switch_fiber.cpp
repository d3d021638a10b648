// Yielding, binding a stack, and the end of a fiber.
#include "weft/sched/switch_fiber.hpp"

#include <utility>

#include "weft/arch/report.hpp"

namespace weft::inline WEFT_ABI::detail {

atomic<departure_hook> current_departure_hook{nullptr};

// From the loop to m.current(), until something switches back to the loop.
void scheduler::run_current(machine& m) {
  for (;;) {
    const transfer_t t = leave_for(m.loop, m.current()->self, m.thread);
    arrived(t, m.loop, m.thread);
    finish_departure(m);
    if (m.system_call == nullptr) return;
    // A fiber wants a call to be run here. It is not parked: nobody else can resume it.
    fiber* caller = m.current();
    auto* call = std::exchange(m.system_call, nullptr);
    m.on_system_stack = true;
    leave(m, 0);
    call(m.system_argument);
    enter(m);
    m.on_system_stack = false;
    m.set_current(caller);
  }
}

// To the front of the processor's order: the loop takes it next.
void scheduler::put_back(processor& p, fiber* f) noexcept {
  fiber* other = p.run_next.exchange(f, acq_rel);  // pairs: processor.run_next
  if (other != nullptr && !p.queue.push(other)) inject(other);
}

namespace {

void commit_yield(void* argument) noexcept {
  auto* f = static_cast<fiber*>(argument);
  machine& m = *current_machine();
  // A fiber that has lost its processor has no queue of its own.
  if (m.p == nullptr || !m.p->queue.push(f)) m.home->inject(f);
}

}  // namespace

void scheduler::yield_current() {
  machine& m = *current_machine();
  fiber& f = *m.current();
  refuse_entry_from_handler(m, f);
  if (WEFT_UNLIKELY(enter(m) != 0)) report_nested_entry();
  const bool in_call = f.in_call.load(relaxed);  // relaxed: its own
  if (WEFT_UNLIKELY(in_call)) static_cast<void>(take_lent_back(m));
  processor* p = m.p;
  if (p != nullptr && !is_alone()) {
    // Alone: nothing to switch to. The periodic look around is due all the same.
    const bool alone = !p->has_work() && global_size_.load(relaxed) == 0;  // relaxed: a hint
    if (alone) p->count_pick();
    if (alone && m.pinned == nullptr && !p->is_time_to_look_around()) {
      if (WEFT_UNLIKELY(in_call)) lend_processor(m);
      leave(m, 0);
      return;
    }
  }
  // All that is runnable here runs first.
  if (p != nullptr && !p->started.empty()) queue_started(*p);
  note_parking(m, f);
  f.since.store(coarse_now(), relaxed);  // relaxed: for reports
  f.set_state(fiber_state::runnable);
  on_departure(f, departure::yield);
  m.commit = commit_yield;
  m.commit_argument = &f;
  switch_to(m, f, pick_direct(m), false);
  machine& here = *current_machine();
  if (WEFT_UNLIKELY(in_call)) lend_processor(here);
  leave(here, 0);
}

// Gives the fiber a stack and its entry. `cached_only`: only if the processor has a warm one.
bool scheduler::bind(machine& m, fiber* f, bool cached_only) noexcept {
  if (cached_only &&
      (f->stack_size != 0 || m.p == nullptr || m.p->cached_stacks() == 0 || has_thread_sanitizer()))
    return false;
  f->on = take_stack(m, f->stack_size);
  if (!f->on) return false;
  prepare_entry(f->self, f->on, fiber_entry);
  return true;
}

// The first frame of every fiber. It has a clean-up, but no handler: an exception that nobody
// catches ends in std::terminate with the throwing stack intact.
void fiber_entry(transfer_t t) {
  WEFT_MARK_STACK_BOTTOM();
  machine* m = current_machine();
  fiber* f = m->current();
  arrived(t, f->self, m->thread);
  f->home->finish_departure(*m);
  leave(*m, 0);
  const unwinding_guard guard;
  for (;;) {
    f->never_ran.store(false, relaxed);  // relaxed: for reports
    if (!f->exits) type_of(*f).invoke(f->callable);
    f = f->home->end_and_continue(f);
  }
}

namespace {

void destroy_locals(fiber* f) noexcept {
  fiber_extra* e = f->extra();
  if (e == nullptr) return;
  auto& locals = e->locals;
  while (!locals.empty()) {
    const auto value = locals.back();
    locals.pop_back();
    value.destroy(value.value);
  }
}

// What belongs to a fiber and is destroyed by itself; the destructors may park. The callable goes
// after the locals: its end is what joiners wait for. What its captures made anew goes last.
void destroy_contents(fiber* f) noexcept {
  ++f->keeps_stack;  // what they wait for comes first, also when the run is being unwound
  destroy_locals(f);
  if (f->callable != nullptr) type_of(*f).destroy(f->callable);
  destroy_locals(f);
  --f->keeps_stack;
  on_departure(*f, departure::end);
}

}  // namespace

// The fiber has returned. Gives the next one that has no stack yet, which runs on this one; or does
// not return.
fiber* scheduler::end_and_continue(fiber* f) noexcept {
  destroy_contents(f);
  machine& m = *current_machine();
  enter(m);
  fiber* next = nullptr;
  if (m.p != nullptr && m.pinned == nullptr && f->stack_size == 0 && !has_thread_sanitizer() &&
      !is_alone() && !is_stopping_.load(relaxed) &&  // relaxed: looked at again by the loop
      !has_waiting_for_stack_.load(relaxed) &&       // relaxed: a hint; they come first
      !m.p->is_time_to_look_around() && m.p->id < procs()) {
    next = next_local(*m.p);
    if (next != nullptr && (next->on || next->stack_size != 0 || next->pinned_to != nullptr)) {
      if (WEFT_LIKELY(next->on && next->pinned_to == nullptr)) end_for(m, f, next);
      put_back(*m.p, next);
      next = nullptr;
    }
  }
  if (next == nullptr) end_for(m, f, pick_direct(m));
  next->on = std::exchange(f->on, stack{});
  next->self.exceptions = {};
  next->self.stack_limit = f->self.stack_limit;
  next->self.stack_size = f->self.stack_size;
  m.set_current(next);
  next->set_state(fiber_state::running);
  reap(m, f);
  leave(m, 0);
  return next;
}

// `next` is null for the loop.
void scheduler::end_for(machine& m, fiber* f, fiber* next) noexcept {
  m.ended = f;
  switch_to(m, *f, next, true);
  fatal_invariant("switch: an ended fiber was resumed");
}

// By the unwinding at the bottom of the stack: the frames are gone.
void scheduler::end_current() noexcept {
  fiber* f = current_machine()->current();
  destroy_contents(f);
  machine& m = *current_machine();
  enter(m);
  end_for(m, f, pick_direct(m));
}

void scheduler::reap(machine& m, fiber* f) noexcept {
  forget_entry(f->self);
  if (f->on) put_stack(m, f);
  free_record(f);
}

}  // namespace weft::inline WEFT_ABI::detail
