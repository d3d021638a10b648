// Pinning a fiber to its OS thread, and calls on the thread's own stack.
#include "weft/sched/pin.hpp"

#include "weft/base/error.hpp"
#include "weft/sched/embedded.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

void pin_current() {
  fiber* f = this_fiber_or_null();
  if (f == nullptr) return;  // a plain thread is where it is
  machine& m = *current_machine();
  const unsigned char depth = f->pin_depth.load(relaxed);  // relaxed: owner
  if (depth == 255) throw_usage_error("weft::thread_pin: nested more than 255 times");
  f->pin_depth.store(depth + 1, relaxed);  // relaxed: owner
  if (depth != 0) return;
  f->pinned_to = &m;
  if (embedded_loop* loop = m.home->loop()) {
    loop->pin();  // the only machine runs the others as well
  } else {
    m.pinned = f;
  }
}

void unpin_current() noexcept {
  fiber* f = this_fiber_or_null();
  if (f == nullptr) return;
  const unsigned char depth = f->pin_depth.load(relaxed);  // relaxed: owner
  f->pin_depth.store(depth - 1, relaxed);                  // relaxed: owner
  if (depth != 1) return;
  f->pinned_to->pinned = nullptr;
  f->pinned_to = nullptr;
  if (embedded_loop* loop = f->home->loop()) loop->unpin();
}

void call_on_system_stack(void (*call)(void*), void* argument) {
  fiber* f = this_fiber_or_null();
  if (f == nullptr || current_machine()->on_system_stack) {
    call(argument);
    return;
  }
  machine& m = *current_machine();
  enter(m);
  m.home->switch_for_call(m, *f, call, argument);
  leave(*current_machine(), 0);
}

bool is_on_system_stack() noexcept {
  const machine* m = current_machine();
  return m != nullptr && m->on_system_stack;
}

// To the loop and back on the same machine; m.current() stays, nobody else can resume the fiber.
void scheduler::switch_for_call(machine& m, fiber& f, void (*call)(void*), void* argument) {
  m.system_call = call;
  m.system_argument = argument;
  const auto t = leave_for(f.self, m.loop, m.thread);
  arrived(t, f.self, current_machine()->thread);
}

}  // namespace weft::inline WEFT_ABI::detail
