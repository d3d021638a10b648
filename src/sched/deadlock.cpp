// Finds that nothing can ever run again, and says so.
#include "weft/sched/deadlock.hpp"

#include <string>

#include "weft/arch/clock.hpp"
#include "weft/arch/report.hpp"
#include "weft/arch/switch.hpp"
#include "weft/arch/thread.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/explorer.hpp"
#include "weft/sched/interrupt.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

atomic<int> external_wakers{0};
atomic<int> service_threads{0};
atomic<int> threads_in_run{0};

namespace {

constexpr std::int64_t between_looks = 50'000'000;
constexpr std::int64_t before_warning = 10'000'000'000;

struct survey {
  bool all_quiet = true;
  int threads = 0;
};

bool nothing_can_happen() noexcept {
  if (external_wakers.load(acquire) != 0) return false;  // pairs: deadlock.wakers
  survey found;
  for_each_scheduler(
      [](scheduler& s, void* argument) {
        auto& all = *static_cast<survey*>(argument);
        all.threads += s.thread_count();
        if (!s.options().is_closed_world || !s.is_quiescent()) all.all_quiet = false;
      },
      &found);
  return found.all_quiet;
}

bool only_own_threads() noexcept {
  survey found;
  for_each_scheduler(
      [](scheduler& s, void* argument) {
        static_cast<survey*>(argument)->threads += s.thread_count();
      },
      &found);
  int own = found.threads;
  // relaxed: nothing moves now
  own += service_threads.load(relaxed) + threads_in_run.load(relaxed);
  if (has_thread_sanitizer()) ++own;  // its own background thread
  return process_thread_count() <= own;
}

}  // namespace

// Order: pair deadlock.wakers: a waker is counted with release before it can wake anybody.
std::int64_t watch_for_deadlock(scheduler& s, std::int64_t now) noexcept {
  scheduler::deadlock_watch& watch = s.watch_;
  if (!s.options().is_closed_world || !s.is_waited_for() || !nothing_can_happen()) {
    watch = {};
    // Whatever comes next, a timer, another runtime's fiber or a signal, gives a processor to some
    // machine and so wakes its sysmon; the last one to fall asleep looks at all.
    return never;
  }
  const std::uint64_t wakes = s.wakes_.load(acquire);  // pairs: sched.wakes
  if (watch.since == 0 || watch.wakes != wakes) {
    watch = {now, wakes, watch.warned};
    return now + between_looks;
  }
  if (only_own_threads()) {
    if (now - watch.since >= between_looks) deadlock(s);
    return now + between_looks;
  }
  if (!watch.warned && now - watch.since >= before_warning) {
    watch.warned = true;
    report out;
    out.line(
        "weft: all fibers are asleep, and have been for ten seconds; only a thread that is not "
        "weft's could wake one:");
    out.line();
    dump_all(out, dump_style::full);
  }
  return watch.warned ? now + before_warning : watch.since + before_warning;
}

void deadlock(scheduler& s) noexcept {
  const bool main_left = s.main_left_.load(acquire);  // pairs: sched.main
  if (s.options().throws_on_deadlock && !main_left) {
    if (s.throw_in_main()) return;
  }
  s.report_if_waiting_for_stacks();
  if (!begin_fatal_report()) end_process(2);
  {
    report out;
    out.text("fatal error: ")
        .line(main_left ? "no fibers (main called exit_fiber) - deadlock!"
                        : "all fibers are asleep - deadlock!");
    out.line();
    dump_all(out, dump_style::full);
  }
  end_process(2);
}

std::string scheduler::deadlock_text() const {
  std::string text = "all fibers are asleep - deadlock!\n\n";
  report out([](void* to, const char* words,
                std::size_t size) { static_cast<std::string*>(to)->append(words, size); },
             &text);
  dump_fibers(*this, out, dump_style::full);
  out.flush();
  return text;
}

// In an explored run: what is blocked is unwound, by the machine's loop, while nobody runs. False:
// all wait in destructors.
bool scheduler::unwind_deadlock() noexcept {
  options_.chooser->deadlocked(deadlock_text());
  fiber_chain taken;
  for_each_record([&](fiber& f) {
    // relaxed, here and below: nobody runs
    const bool is_parked = f.state.load(relaxed) == fiber_state::parked;  // relaxed: so
    const bool is_unwound = f.extra() != nullptr && f.extra()->unwinding.is_active();
    if (!is_parked || is_unwound || f.is_service.load(relaxed)) return;  // relaxed: so
    if (f.keeps_stack != 0 || !interrupt(f)) return;
    f.exits = true;
    taken.push_back(&f);
  });
  const bool has_taken = !taken.empty();
  while (fiber* f = taken.pop_front()) ready(f);
  return has_taken;
}

// Main's wait ends with an exception that carries the dump.
bool scheduler::throw_in_main() noexcept {
  fiber* f = main_fiber_.load(acquire);  // pairs: sched.main
  // relaxed: nothing runs now
  if (f == nullptr || f->id.load(relaxed) != main_id_.load(relaxed) || f->keeps_stack != 0 ||
      f->state.load(acquire) != fiber_state::parked)  // pairs: sched.main
    return false;
  try {
    deadlock_dump_ = deadlock_text();
  } catch (const std::bad_alloc&) {
    deadlock_dump_.clear();
  }
  if (!interrupt(*f)) return false;
  f->meets_deadlock = true;
  ready(f);
  return true;
}

// Nothing runs, is about to run or waits for anything but another fiber.
bool scheduler::is_quiescent() const noexcept {
  return idle_count_.load(acquire) == procs() &&  // pairs: sched.idle
         hogs_.load(acquire) == 0 &&              // pairs: sched.hogs
         in_blocking_.load(acquire) == 0 &&       // pairs: sched.blocking
         // relaxed: looked at twice
         !has_visible_work() && spinning_.load(relaxed) == 0 && excess_.load(acquire) == 0 &&
         earliest_timer() == never && !poller_->has_waiters() &&
         (num_fibers() != 0 || main_left_.load(acquire));  // pairs: sched.main
}

bool scheduler::is_waited_for() const noexcept {
  if (main_left_.load(acquire)) return true;      // pairs: sched.main
  if (waits_for_all_.load(acquire)) return true;  // pairs: sched.main
  const fiber* f = main_fiber_.load(acquire);     // pairs: sched.main
  // relaxed: looked at twice
  return f != nullptr && f->id.load(relaxed) == main_id_.load(relaxed) &&
         f->state.load(relaxed) != fiber_state::free;  // relaxed: likewise
}

// Main has ended, and the thread in run() has not said yet how it goes on: what others did
// meanwhile would depend on how fast that thread is.
bool scheduler::is_between_main_and_end() const noexcept {
  const fiber* f = main_fiber_.load(acquire);  // pairs: sched.main
  if (f == nullptr) return false;
  // relaxed: the machine's own, and main ran on it
  const bool has_ended = f->id.load(relaxed) != main_id_.load(relaxed) ||
                         f->state.load(relaxed) == fiber_state::free;  // relaxed: likewise
  return has_ended && !main_left_.load(acquire) &&                     // pairs: sched.main
         !waits_for_all_.load(acquire) && !is_unwinding();             // pairs: sched.main
}

int scheduler::thread_count() const noexcept {
  // pairs: sched.machines
  return static_cast<int>(live_machines_.load(acquire)) + (is_alone() ? 0 : 1);
}

// A seeded run has nothing runnable and no timer: only something outside could go on.
void scheduler::seeded_idle(machine& m) noexcept {
  if (has_waiting_for_stack_.load(relaxed)) {  // relaxed: one machine
    serve_all_waiting_for_stacks();
    report_if_out_of_stacks();
  }
  if (options_.is_closed_world && is_waited_for() && num_fibers() != 0) {
    const bool is_explored = options_.chooser != nullptr;
    // relaxed: one machine
    if (global_size_.load(relaxed) == 0) {
      if (is_explored && unwind_deadlock()) return;
      deadlock(*this);
    }
  }
  go_idle(m);
}

}  // namespace weft::inline WEFT_ABI::detail
