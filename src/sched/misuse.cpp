// The reports of misuse that leaves nothing to go on with.
#include "weft/sched/misuse.hpp"

#include <functional>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/places.hpp"
#include "weft/arch/report.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/look.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// Neither malloc nor a thread can be had where these happen.
void print_caller(report& out) noexcept {
  constexpr std::size_t max_frames = 100;
  const fiber* f = this_fiber_or_null();
  if (f != nullptr) {
    out.text("fiber ").number(f->id.load(relaxed)).line(" [running]:");  // relaxed: its own
  } else {
    out.line("a plain thread:");
  }
  void* pcs[max_frames];
  const std::size_t count = capture(pcs, max_frames, 1);
  const std::size_t inner = count_inner_frames(pcs, count);
  print_stack(out, pcs + inner, count - inner, names::raw);
  if (f != nullptr) print_creation(*f, out);
}

[[noreturn]] void end_with(std::string_view what) noexcept {
  if (begin_fatal_report()) {
    report out;
    out.text("fatal error: ").line(what);
    out.line();
    print_caller(out);
  }
  end_process(2);
}

bool was_running() noexcept {
  bool any = false;
  for_each_scheduler_unlocked([](scheduler&, void* found) { *static_cast<bool*>(found) = true; },
                              &any);
  if (!any) return false;
  // Everything that this thread's fiber does next looks here first.
  if (machine* m = current_machine()) {
    // relaxed: the only thread
    m->attention.store(attention::requested | attention::yield, relaxed);
  }
  return true;
}

}  // namespace

void report_forked_child() noexcept {
  end_with(
      "weft was called in a forked child of a process whose runtime was running. The child has "
      "none of the runtime's threads; it may exec, or _exit.");
}

void report_foreign_unwinding() noexcept {
  end_with(
      "pthread_exit in a fiber, or pthread_cancel of its thread: threads belong to the runtime. "
      "weft::exit_fiber ends a fiber; this one's frames have been unwound already.");
}

void report_entry_from_handler() noexcept {
  end_with(
      "weft was called from a signal handler. Only weft::debug::dump(int) may be called there; "
      "weft::notify_signals makes signals a channel.");
}

void report_nested_entry() noexcept {
  end_with(
      "a fiber blocks while the runtime works for it: in a signal handler, or in a move "
      "constructor or destructor of a channel's element.");
}

void refuse_entry_from_handler(const machine& m, const fiber& f) noexcept {
  const std::less<const void*> below;
  const void* limit = f.self.stack_limit;
  const void* top = static_cast<const std::byte*>(limit) + f.self.stack_size;
  const void* here = frame_address();
  if (WEFT_UNLIKELY((below(here, limit) || !below(here, top)) && !m.on_system_stack))
    report_entry_from_handler();
}

unwinding_guard::~unwinding_guard() {
  if (!is_being_unwound()) report_foreign_unwinding();
}

void watch_for_misuse() noexcept {
  refuse_second_copy();
  watch_forks(was_running);
}

}  // namespace weft::inline WEFT_ABI::detail
