// Writes the dump of fibers.
#include "weft/sched/dump.hpp"

#include "weft/arch/backtrace.hpp"
#include "weft/arch/report.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::int64_t minute = 60'000'000'000;
constexpr std::size_t max_frames = 100;

std::string_view state_name(const fiber& f) noexcept {
  switch (f.state.load(relaxed)) {  // relaxed: a report
    case fiber_state::running:
      return f.in_call.load(relaxed) ? "syscall" : "running";  // relaxed: a report
    case fiber_state::parked:
      return name_of(f.reason.load(relaxed));  // relaxed: a report
    case fiber_state::fresh:
    case fiber_state::runnable:
      return f.never_ran.load(relaxed) ? "runnable, not yet run" : "runnable";  // relaxed: a report
    case fiber_state::free:
      break;
  }
  return "ended";
}

void print_name(const fiber& f, report& out) {
  fiber_extra* extra = f.extra();
  if (extra == nullptr || !extra->lock.try_lock()) return;
  if (!extra->name.empty()) out.text(" ").text(extra->name);
  extra->lock.unlock();
}

void print_parked_stack(const fiber& f, report& out) {
  void* pcs[max_frames];
  const std::size_t n = capture(registers_of_suspended(f.self.context), pcs, max_frames);
  print_stack(out, pcs, n, names::raw);
}

}  // namespace

void print_state(const fiber& f, report& out, std::int64_t now) {
  out.text(state_name(f));
  const std::int64_t waited = now - f.since.load(relaxed);               // relaxed: a report
  if (waited >= minute && f.state.load(relaxed) == fiber_state::parked)  // relaxed: a report
    out.text(", ").number(waited / minute).text(" minutes");
  if (f.pin_depth.load(relaxed) != 0) out.text(", locked to thread");  // relaxed: a report
}

void print_creation(const fiber& f, report& out) {
  out.text("created by ").line(f.created_at.function.load(relaxed));  // relaxed: a report
  out.text("\t").text(f.created_at.file.load(relaxed)).text(":");     // relaxed: a report
  out.number(f.created_at.line.load(relaxed)).line();                 // relaxed: a report
}

void dump_fiber(const fiber& f, report& out, dump_style style) {
  out.text("fiber ").number(f.id.load(relaxed)).text(" [");  // relaxed: a report
  print_state(f, out, f.home->coarse_now());
  out.text("]:");
  print_name(f, out);
  out.line();
  const fiber_state state = f.state.load(relaxed);  // relaxed: a report
  if (style == dump_style::with_stacks && state == fiber_state::parked && f.on)
    print_parked_stack(f, out);
  if (state == fiber_state::runnable && f.never_ran.load(relaxed))  // relaxed: a report
    out.text("\tto run ").line(short_type_name(type_of(f).name));
  print_creation(f, out);
  out.line();
}

void dump_fibers(const scheduler& s, report& out, dump_style style) {
  s.for_each_record([&](const fiber& f) {
    const fiber_state state = f.state.load(relaxed);  // relaxed: a report
    if (state != fiber_state::free && f.home != nullptr && !f.is_service) dump_fiber(f, out, style);
  });
}

void dump_all(report& out, dump_style style) noexcept {
  struct arguments {
    report& out;
    dump_style style;
  } both{out, style};
  for_each_scheduler_unlocked(
      [](scheduler& s, void* argument) {
        const auto& [to, how] = *static_cast<arguments*>(argument);
        dump_fibers(s, to, how);
      },
      &both);
}

std::string_view short_type_name(std::string_view pretty) noexcept {
  const auto begin = pretty.find("F = ");
  if (begin == std::string_view::npos) return pretty;
  std::string_view name = pretty.substr(begin + 4);
  // g++ goes on with its expansion of the result's type.
  const auto end = name.rfind("; std::string_view = ");
  return name.substr(0, end != std::string_view::npos ? end : name.rfind(']'));
}

std::string_view file_name(std::string_view path) noexcept {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace weft::inline WEFT_ABI::detail
