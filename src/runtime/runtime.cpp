// The composition root: makes a scheduler out of options, and ends it.
#include "weft/runtime.hpp"

#include <charconv>
#include <cstdlib>
#include <thread>

#include "weft/arch/clock.hpp"
#include "weft/arch/cpu.hpp"
#include "weft/arch/report.hpp"
#include "weft/netpoll/epoll.hpp"
#include "weft/sched/deadlock.hpp"
#include "weft/sched/embedded.hpp"
#include "weft/sched/interrupt.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/reports.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI {

namespace detail {

namespace {

// A positive number from the environment; 0: not set. Anything else ends the process: the program
// can't be what its user wants.
unsigned number_from_environment(const char* name, unsigned limit) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return 0;
  const std::string_view digits(text);
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc{} && end == digits.data() + digits.size() && value != 0 && value <= limit)
    return value;
  if (begin_fatal_report()) {
    report out;
    out.text("fatal error: ").text(name).text("=").text(digits);
    out.text(": expected a number from 1 to ").number(limit).line();
  }
  end_process(2);
}

unsigned usable_procs() {
  const unsigned wanted = number_from_environment("WEFT_PROCS", scheduler::max_procs);
  if (wanted != 0) return wanted;
  const unsigned cpus = usable_cpus();
  return cpus < scheduler::max_procs ? cpus : scheduler::max_procs;
}

scheduler_options to_scheduler_options(const options& o) {
  if (o.procs > scheduler::max_procs)
    throw_invalid_argument("weft::options: procs must be 1 to 1024, or 0");
  if (o.seed != 0 && o.procs > 1)
    throw_invalid_argument("weft::options: a seeded run has one processor, procs must be 0 or 1");
  if (!o.own_threads && o.procs > 1)
    throw_invalid_argument(
        "weft::options: without own_threads there is one processor, procs must be 0 or 1");
  if (!o.own_threads && o.seed != 0)
    throw_invalid_argument(
        "weft::options: a seeded run has virtual time, which a foreign event loop does not: seed "
        "must be 0 without own_threads");
  if (o.max_blocking == 0) throw_invalid_argument("weft::options: max_blocking must be positive");
  if (o.max_machines < 2) throw_invalid_argument("weft::options: max_machines must be 2 or more");
  if (o.stack_size > stack_pool::max_stack_size)
    throw_invalid_argument("weft::options: stack_size must be at most 1 GiB");
  scheduler_options s;
  s.seed = o.seed;
  s.own_threads = o.own_threads;
  s.procs = o.procs != 0 ? o.procs : o.seed != 0 || !o.own_threads ? 1 : usable_procs();
  s.stack_size = o.stack_size;
  s.max_machines = o.max_machines;
  s.max_blocking = o.max_blocking;
  s.throws_on_deadlock = o.on_deadlock == deadlock_policy::throw_in_main;
  s.at_end = o.on_exit == exit_policy::wait     ? end_policy::wait
             : o.on_exit == exit_policy::unwind ? end_policy::unwind
                                                : end_policy::abandon;
  s.trace_period_ms = number_from_environment("WEFT_SCHEDTRACE", 3'600'000);
  s.stall_limit_ms = number_from_environment("WEFT_STALLS", 3'600'000);
  s.make_poller = make_epoll_poller;
  return s;
}

}  // namespace

scheduler* start_scheduler(const options& settings, bool is_closed_world, void* owner,
                           explorer* chooser) {
  scheduler_options s = to_scheduler_options(settings);
  if (is_closed_world && !s.own_threads)
    throw_invalid_argument(
        "weft::run: without own_threads nobody would run main: make a weft::runtime and call its "
        "run_once");
  s.is_closed_world = is_closed_world;
  s.owner = owner;
  s.chooser = chooser;
  install_reports();
  return new scheduler(s);
}

void check_may_end(scheduler& s) {
  if (embedded_loop* loop = s.loop())
    loop->check_may_stop(s.options().at_end != end_policy::abandon);
}

void end_scheduler(scheduler* s) {
  // Where something runs on for ever, what it uses has to stay.
  if (s->stop(s->options().at_end)) {
    delete s;
  } else {
    unregister_scheduler(*s);
  }
}

void name_main(scheduler& s, fiber* f) noexcept { s.set_main(f); }

void wait_for_result(scheduler& s, join_core& state) {
  const auto is_complete = [](void* of) { return static_cast<join_core*>(of)->is_complete(); };
  if (s.loop() == nullptr || !s.loop()->run_until(is_complete, &state))
    static_cast<void>(state.wait(nullptr));
}

namespace {

embedded_loop& loop_of(const scheduler& s, const char* otherwise) {
  if (s.loop() == nullptr) throw_usage_error(otherwise);
  return *s.loop();
}

}  // namespace

bool run_once(scheduler& s, std::int64_t until) {
  return loop_of(
             s, "weft::runtime::run_once: the runtime has threads of its own (options.own_threads)")
      .run_once(until);
}

int poll_descriptor(scheduler& s) {
  return loop_of(s,
                 "weft::runtime::poll_fd: the runtime has threads of its own (options.own_threads)")
      .descriptor();
}

void wait_for_main(scheduler& s, join_core& state) {
  threads_in_run.fetch_add(1, relaxed);  // relaxed: counted when nothing moves
  static_cast<void>(state.wait(nullptr));
  if (!state.has_outcome()) {
    // Main has left by exit_fiber: the others go on, for ever or until none is left.
    s.main_left();
    note never_woken;
    // A seeded run has no sysmon to see that none is left.
    while (s.is_seeded() && !never_woken.wait_until(monotonic_ns() + 50'000'000))
      if (s.is_quiescent()) deadlock(s);
    never_woken.wait();
  }
  threads_in_run.fetch_sub(1, relaxed);  // relaxed: as above
}

void throw_not_from_fiber(const char* what) {
  throw_usage_error(
      (std::string("weft: ") + what + " blocks its OS thread and was called from a fiber").c_str());
}

void yield_now() {
  if (this_fiber_or_null() == nullptr || is_on_system_stack()) {
    std::this_thread::yield();
    return;
  }
  safepoint();
  scheduler::of_caller().yield_current();
  unwind_if_due();
}

namespace {

// Not a plain thread, which has none; not a call on the system stack, which can't be switched away
// from when the processor is gone at its end.
bool lends_processor() noexcept { return this_fiber_or_null() != nullptr && !is_on_system_stack(); }

}  // namespace

void begin_blocking() {
  safepoint();
  if (!lends_processor()) return;
  scheduler& s = scheduler::of_caller();
  if (!s.is_alone()) s.enter_blocking();
}

void end_blocking() {
  if (!lends_processor()) return;
  scheduler& s = scheduler::of_caller();
  if (!s.is_alone()) s.leave_blocking();
}

}  // namespace detail

runtime* runtime::current() noexcept {
  const detail::fiber* f = detail::this_fiber_or_null();
  return f == nullptr ? nullptr : static_cast<runtime*>(f->home->options().owner);
}

unsigned procs() { return detail::scheduler::of_caller().procs(); }

unsigned set_procs(unsigned n) { return detail::scheduler::of_caller().set_procs(n); }

std::size_t num_fibers() { return detail::scheduler::of_caller().num_fibers(); }

}  // namespace weft::inline WEFT_ABI
