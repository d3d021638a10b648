// Finds stalls and writes their reports.
#include "weft/sched/stalls.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/places.hpp"
#include "weft/arch/report.hpp"
#include "weft/arch/thread_probe.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// The number of the question that stands at a machine whose fiber computes; 0: none.
std::uint32_t standing_question(const machine& m) noexcept {
  const std::uint32_t word = m.attention.load(acquire);  // pairs: attention.word
  const fiber* f = m.current();
  // relaxed, here and below: samples
  if ((word & attention::state_mask) == attention::none || f == nullptr ||
      m.in_runtime.load(relaxed) != 0 || f->in_call.load(relaxed))  // relaxed: a sample
    return 0;
  return word >> attention::number_shift;
}

// What has no name was at least called from the same place.
bool are_in_one_function(void* a, void* b) noexcept {
  const raw_symbol in_a = describe_raw(a);
  const raw_symbol in_b = describe_raw(b);
  if (in_a.function[0] == '\0' || in_b.function[0] == '\0')
    return in_a.function[0] == in_b.function[0];
  return static_cast<char*>(a) - in_a.offset == static_cast<char*>(b) - in_b.offset;
}

// Compared from the outer end: the inner ones differ from sample to sample.
bool is_same_site(const std::vector<void*>& known, const stack_sample& sample) noexcept {
  const std::size_t n = std::min(known.size(), sample.count);
  void* const* a = known.data() + (known.size() - n);
  void* const* b = sample.frames + (sample.count - n);
  return std::equal(a + 1, a + n, b + 1) && are_in_one_function(*a, *b);
}

void print_sample(const stack_sample& sample, report& out) noexcept {
  try {
    place_table places;
    places.add(sample.frames, sample.count);
    places.look_up();
    print_stack(out, sample.frames, sample.count, places);
  } catch (const std::exception&) {
    print_stack(out, sample.frames, sample.count, names::raw);
  }
}

}  // namespace

void stall_watch::look(std::int64_t now, std::int64_t limit) noexcept {
  // pairs: sched.machines
  for (machine* m = s_.machines_.load(acquire); m != nullptr; m = m->next_machine) {
    const std::uint32_t question =
        m->has_ended.load(acquire) ? 0 : standing_question(*m);  // pairs: sched.machines
    if (question != m->stall_question) {
      m->stall_question = question;
      m->stall_since = now;
      m->stall_told = false;
    } else if (question != 0 && !m->stall_told && now - m->stall_since >= limit) {
      m->stall_told = true;
      report(*m, now - m->stall_since, question);
    }
  }
}

void stall_watch::report(machine& m, std::int64_t ran, std::uint32_t question) noexcept {
  stack_sample sample;
  const fiber* f = m.current();
  if (!sample_thread(m.thread_id.load(relaxed), sample)) sample.count = 0;  // relaxed: once set
  if (f == nullptr || standing_question(m) != question) return;
  if (sample.count != 0 ? !is_new_site(sample) : std::exchange(told_without_stack_, true)) return;
  detail::report out;
  out.text("weft: a fiber has run for ").number(ran / 1'000'000);
  out.line(" ms without a runtime entry:").line();
  out.text("fiber ").number(f->id.load(relaxed)).text(" [");  // relaxed: a report
  print_state(*f, out, s_.coarse_now());
  out.line("]:");
  if (sample.count == 0) out.line("\t(its stack could not be had)");
  print_sample(sample, out);
  print_creation(*f, out);
  out.line();
}

bool stall_watch::is_new_site(const stack_sample& sample) noexcept {
  for (const std::vector<void*>& known : sites_)
    if (is_same_site(known, sample)) return false;
  if (sites_.size() == most_sites) return false;
  try {
    sites_.emplace_back(sample.frames, sample.frames + sample.count);
  } catch (const std::exception&) {
    return false;  // no memory: it would be told for ever
  }
  return true;
}

}  // namespace weft::inline WEFT_ABI::detail
