// Fatal reports of the scheduler: uncaught exceptions, stack overflow, limits.
#include "weft/sched/reports.hpp"

#include <iterator>

#include "weft/arch/altstack.hpp"
#include "weft/arch/backtrace.hpp"
#include "weft/arch/places.hpp"
#include "weft/arch/report.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/misuse.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

void print_title(const fiber& f, report& out) {
  out.text("fiber ").number(f.id.load(relaxed)).text(" [running]:");  // relaxed: its own
  if (f.extra() != nullptr && !f.extra()->name.empty()) out.text(" ").text(f.extra()->name);
  out.line();
}

// An exception that nobody catches, a noexcept frame that one meets, or std::terminate itself.
bool on_terminate(const std::exception_ptr& exception) noexcept {
  const fiber* f = this_fiber_or_null();
  if (f == nullptr && current_machine() == nullptr) return false;
  if (!begin_fatal_report()) end_process(2);
  {
    report out;
    if (f == nullptr) {
      out.line(
          "fatal error: std::terminate was called on a thread of weft's own: it was ended from "
          "outside, by pthread_cancel or an exception");
    } else if (is_being_unwound()) {
      const raw_symbol refusing = describe_raw(f->extra()->unwinding.frame());
      out.line(
          "fatal error: exit_fiber met a frame that lets no exception pass (a noexcept function, "
          "or a destructor during unwinding):");
      out.text("\t").line(refusing.function[0] != '\0' ? demangle(refusing.function) : "???");
    } else if (exception != nullptr) {
      describe_exception(exception, out);
    } else {
      out.line("fatal error: std::terminate was called");
    }
    out.line();
    if (f != nullptr) print_title(*f, out);
    print_own_stack(out);
    if (f != nullptr) print_creation(*f, out);
  }
  end_process(2);
}

// A recursion shows at the inner end, and where it began at the outer one.
void print_full_stack(const saved_registers& from, report& out) {
  constexpr std::size_t at_inner_end = 40;
  constexpr std::size_t at_outer_end = 20;
  static void* pcs[std::size_t{1} << 14U];  // too much for any stack; there is one fatal report
  const std::size_t n = capture(from, pcs, std::size(pcs));
  if (n <= at_inner_end + at_outer_end) {
    print_stack(out, pcs, n, names::raw);
    return;
  }
  print_stack(out, pcs, at_inner_end, names::raw);
  out.text("\t... ").number(n - at_inner_end - at_outer_end).line(" more frames");
  print_stack(out, pcs + n - at_outer_end, at_outer_end, names::raw);
}

// On the alternate stack; the fiber's own is full.
void on_overflow(const stack_place& place, void*, void* ucontext) {
  if (!begin_fatal_report()) end_process(2);
  {
    report out;
    out.line("fatal error: stack overflow");
    out.line();
    const fiber* f = this_fiber_or_null();
    if (f != nullptr && f->on == place.in) {
      print_title(*f, out);
      out.text("its stack has ")
          .number(place.in.size())
          .line(
              " bytes; a larger one: weft::options::stack_size, or "
              "weft::fiber_options::stack_size");
    }
    print_full_stack(registers_of_interrupted(ucontext), out);
    if (f != nullptr) print_creation(*f, out);
  }
  end_process(2);
}

}  // namespace

void install_reports() noexcept {
  watch_for_misuse();
  install_terminate_handler(on_terminate);
  install_overflow_handler(on_overflow);
  set_dump_hook([](report& out) noexcept { dump_all(out, dump_style::plain); });
}

void report_too_many_machines(unsigned limit) noexcept {
  if (!begin_fatal_report()) end_process(2);
  {
    report out;
    out.text("fatal error: the runtime needs more than ")
        .number(limit)
        .line(
            " OS threads (weft::options::max_machines): too many pinned fibers or blocking calls");
    out.line();
    dump_all(out, dump_style::raw);
  }
  end_process(2);
}

void report_no_thread() noexcept {
  if (!begin_fatal_report()) end_process(2);
  report().line(
      "fatal error: the system refuses an OS thread, and the runtime has none that could run its "
      "fibers");
  end_process(2);
}

void report_no_memory_for_timer() noexcept {
  if (!begin_fatal_report()) end_process(2);
  report().line(
      "fatal error: out of memory: a timer is due, and for a second there was none for the fiber "
      "that it starts");
  end_process(2);
}

void report_out_of_stacks(std::size_t waiting, bool at_map_limit) noexcept {
  if (!begin_fatal_report()) end_process(2);
  {
    report out;
    out.text("fatal error: out of fiber stacks: ")
        .text(at_map_limit ? "the process is at its limit of mappings (vm.max_map_count)"
                           : "the system refuses memory")
        .text("; waiting for a stack: ")
        .number(waiting)
        .line(", and no fiber that has one can leave it");
    out.line();
    dump_all(out, dump_style::raw);
  }
  end_process(2);
}

// One line, as Go's schedtrace: see WEFT_SCHEDTRACE.
void scheduler::schedtrace_line(std::int64_t since_start) const noexcept {
  report out;
  out.text("SCHED ").number(since_start / 1'000'000).text("ms: procs=").number(procs());
  out.text(" idle=").number(idle_count_.load(relaxed));         // relaxed: a report
  out.text(" machines=").number(live_machines_.load(relaxed));  // relaxed: a report
  out.text(" spinning=").number(spinning_.load(relaxed));       // relaxed: a report
  out.text(" asleep=").number(asleep_.load(relaxed));           // relaxed: a report
  out.text(" hogs=").number(hogs_.load(relaxed));               // relaxed: a report
  out.text(" blocking=").number(in_blocking_.load(relaxed));    // relaxed: a report
  out.text(" fibers=").number(num_fibers());
  out.text(" global=").number(global_size_.load(relaxed));  // relaxed: a report
  out.text(" queues=[");
  for (unsigned i = 0; i < procs(); ++i) {
    const processor* p = processors_[i].load(acquire);       // pairs: sched.processors
    const bool next = p->run_next.load(relaxed) != nullptr;  // relaxed: a report
    if (i != 0) out.text(" ");
    out.number(p->queue.size() + p->started.size() + (next ? 1U : 0U));
  }
  out.line("]");
}

}  // namespace weft::inline WEFT_ABI::detail
