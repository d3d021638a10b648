// What sysmon does at each look; what it is for stands in weft/sched/sysmon.hpp.
#include "weft/sched/sysmon.hpp"

#include <algorithm>

#include "weft/arch/clock.hpp"
#include "weft/arch/fence.hpp"
#include "weft/sched/deadlock.hpp"
#include "weft/sched/reports.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::int64_t us = 1'000;
constexpr std::int64_t ms = 1'000'000;

constexpr std::int64_t tick = 1 * ms;
constexpr std::int64_t shortest_tick = 20 * us;  // while blocking(f) holds up work; doubles
constexpr std::int64_t timer_grain = 100 * us;   // due timers of busy processors
constexpr std::int64_t long_slice = 10 * ms;
constexpr std::int64_t short_slice = 500 * us;
constexpr int idle_looks_before_sleep = 10;
constexpr std::int64_t stack_retry = 10 * ms;
constexpr std::size_t sysmon_stack = std::size_t{512} * 1024;  // it prints reports
constexpr std::int64_t machine_patience = 1000 * ms;

}  // namespace

std::errc sysmon::start() noexcept {
  started_ = monotonic_ns();
  next_trace_ = started_;
  trimmer_ = trimmer(started_ + trimmer::period);
  no_machine_since_ = started_;
  thread_options options;
  options.name = "weft-sysmon";
  options.stack_size = sysmon_stack;
  options.block_signals = true;
  return os_.start(&sysmon::thread, this, options);
}

void sysmon::stop() noexcept {
  ends_.store(true, release);  // pairs: sysmon.ends
  note_.wake();
  if (os_.is_joinable()) os_.join();
}

void* sysmon::thread(void* self) noexcept {
  static_cast<sysmon*>(self)->run();
  return nullptr;
}

void sysmon::run() noexcept {
  while (!ends_.load(acquire)) {  // pairs: sysmon.ends
    const std::int64_t now = monotonic_ns();
    s_.coarse_now_.store(now, relaxed);  // relaxed: for reports
    if (s_.options_.trace_period_ms != 0 && now >= next_trace_) {
      s_.schedtrace_line(now - started_);
      next_trace_ += s_.options_.trace_period_ms * ms;
    }
    const std::int64_t stall_limit = s_.options_.stall_limit_ms * ms;
    if (stall_limit != 0) stalls_.look(now, stall_limit);
    blocking_waits_ = false;
    const unsigned n = s_.made_.load(acquire);  // pairs: sched.processors
    for (unsigned i = 0; i < n; ++i) {
      // pairs: sched.processors
      if (processor* p = s_.processors_[i].load(acquire)) look_at(*p, now);
    }
    // relaxed: a hint
    if (s_.has_waiting_for_stack_.load(relaxed)) s_.serve_all_waiting_for_stacks();
    // Work that nobody was woken for: its waker runs on, or the system had refused a thread.
    // relaxed: a hint
    if (s_.idle_count_.load(relaxed) != 0 && has_stuck_work()) s_.wake_one();
    // One too many that is still held is work for us, not idleness. pairs: sched.procs
    const bool none_to_retire = s_.excess_.load(acquire) == 0;
    const bool all_idle = s_.idle_count_.load(acquire) == s_.procs();  // pairs: sched.idle
    const bool no_machine = all_idle && s_.has_visible_work();
    watch_for_machines(no_machine, now);
    // A plain thread's timer came before any machine, or the last machines to sleep each took
    // another for the one that polls.
    const bool wants_poller = all_idle && nobody_polls();
    if (wants_poller) s_.wake_one();
    // relaxed: a hint
    const bool watches_hogs = stall_limit != 0 && s_.hogs_.load(relaxed) != 0;
    if (none_to_retire && all_idle && !no_machine && !wants_poller && !watches_hogs) {
      if (++idle_looks_ >= idle_looks_before_sleep) sleep_while_idle(now);
    } else {
      idle_looks_ = 0;
      trimmer_.note_use();
    }
    trimmer_.look(s_, now);
    sleep(now);
  }
}

void sysmon::sleep(std::int64_t now) noexcept {
  if (!blocking_waits_) {
    // The sum of the wait for a look and of the short slice stays within a millisecond.
    tick_ = others_wait() ? short_slice : tick;
  } else {
    tick_ = tick_ >= short_slice ? shortest_tick : tick_ * 2;
  }
  std::int64_t until = now + tick_;
  if (!s_.polling_.load(relaxed)) {  // relaxed: a hint; else the poller's machine sees to timers
    until = std::min(until, std::max(s_.earliest_timer(), now + timer_grain));
  }
  if (note_.wait_until(until)) note_.clear();
}

// Nothing has run for a while: whoever takes a processor off the idle list wakes us.
void sysmon::sleep_while_idle(std::int64_t now) noexcept {
  {
    lock_guard held(s_.lock_);
    // relaxed: under the lock
    if (s_.idle_count_.load(relaxed) != s_.procs() || s_.excess_.load(relaxed) != 0 ||
        ends_.load(relaxed))
      return;
    s_.sysmon_sleeps_ = true;
  }
  // Who arms a timer looks for us behind its fence. pairs: sched.until
  full_fence();
  if (nobody_polls()) {
    lock_guard held(s_.lock_);
    s_.sysmon_sleeps_ = false;
    return;
  }
  std::int64_t until = watch_for_deadlock(s_, now);
  until = std::min(until, trimmer_.next());
  if (s_.has_waiting_for_stack_.load(relaxed)) {  // relaxed: nothing runs
    if (s_.is_quiescent()) s_.report_if_out_of_stacks();
    until = std::min(until, now + stack_retry);
  }
  if (s_.options_.trace_period_ms != 0) until = std::min(until, next_trace_);
  const bool woken = note_.wait_until(until);
  {
    lock_guard held(s_.lock_);
    s_.sysmon_sleeps_ = false;
  }
  if (woken) {
    note_.clear();
    idle_looks_ = 0;
    trimmer_.note_use();
  }
}

void sysmon::look_at(processor& p, std::int64_t now) noexcept {
  const std::uint32_t status = p.status.load(acquire);  // pairs: processor.status
  look_at_timers(p, now);
  switch (status & 3U) {
    case processor::running:
      look_at_running(p, now);
      break;
    case processor::blocking:
      look_at_blocking(p, status);
      break;
    default:
      p.asked = 0;
  }
}

// Taken at the second look that finds the same call and work waiting: most calls are short.
void sysmon::look_at_blocking(processor& p, std::uint32_t status) noexcept {
  // Its cached stacks are wanted too. relaxed: a hint
  const bool stacks_wanted = s_.has_waiting_for_stack_.load(relaxed) && p.cached_stacks() != 0;
  if (!p.has_work() && !others_wait() && p.id < s_.procs() && !stacks_wanted) return;
  blocking_waits_ = true;
  if (p.seen_blocking == status && s_.retake_from_blocking(p, status)) {
    p.seen_blocking = 0;
  } else {
    p.seen_blocking = status;
  }
}

bool sysmon::others_wait() const noexcept {
  if (s_.idle_count_.load(relaxed) != 0) return false;  // relaxed: a hint
  return s_.global_size_.load(relaxed) != 0;            // relaxed: a hint
}

void sysmon::look_at_running(processor& p, std::int64_t now) noexcept {
  // It has chosen no fiber since the last look. What waits in run_next, or was started, was left to
  // its waker, which has not parked as predicted.
  const std::uint32_t picks = p.picks.load(relaxed);  // relaxed: a sample
  p.is_stuck = picks == p.seen_picks;
  p.seen_picks = picks;
  const std::uint32_t slice = p.slice.load(relaxed);  // relaxed: a sample
  if (slice != p.seen_slice) {
    p.seen_slice = slice;
    p.seen_since = now;
    p.asked = 0;
    return;
  }
  machine* m = p.holder.load(acquire);  // pairs: processor.status
  if (m == nullptr) return;
  const bool excess = p.id >= s_.procs();
  const bool somebody_waits = p.has_work() || others_wait();
  // relaxed: hints
  const bool holds_back = p.run_next.load(relaxed) != nullptr || !p.started.empty();
  // relaxed: a hint
  if (p.is_stuck && holds_back && s_.idle_count_.load(relaxed) != 0) {
    if (fiber* f = m->current()) f->parks_after_ready.store(0, relaxed);  // relaxed: a prediction
  }
  const std::int64_t ran = now - p.seen_since;
  const std::int64_t limit = others_wait() ? short_slice : long_slice;
  if (ran >= limit && (somebody_waits || excess)) set_reason(*m, attention::yield);
  if (p.asked != 0 && is_unanswered(*m, p.asked)) {
    const bool wanted = excess || (ran >= short_slice && somebody_waits &&
                                   s_.idle_count_.load(relaxed) == 0);  // relaxed: a hint
    // relaxed: a bound that may be passed by one
    if (wanted && s_.hogs_.load(relaxed) < static_cast<int>(4 * s_.procs())) {
      const std::uint32_t number = std::exchange(p.asked, 0);
      s_.hogs_.fetch_add(1, acq_rel);  // pairs: sched.hogs
      if (take_processor(*m, p, number)) {
        p.seen_since = now;
        s_.hand_off(p);
      } else {
        s_.hogs_.fetch_sub(1, acq_rel);  // pairs: sched.hogs
      }
    }
    return;
  }
  // A standing question: whoever makes entries answers it for next to nothing.
  p.asked = ask_for_processor(*m);
}

// There are timers, and no machine sleeps until the first is due.
bool sysmon::nobody_polls() const noexcept {
  return !s_.polling_.load(acquire) && s_.earliest_timer() != never;  // pairs: sched.polling
}

bool sysmon::has_stuck_work() const noexcept {
  if (s_.global_size_.load(relaxed) != 0) return true;  // relaxed: a hint
  const unsigned n = s_.made_.load(acquire);            // pairs: sched.processors
  for (unsigned i = 0; i < n; ++i) {
    const processor* p = s_.processors_[i].load(acquire);  // pairs: sched.processors
    if (p == nullptr || !p->has_work()) continue;
    // Idle with work: whoever was to take it has not begun. relaxed: a hint
    if (p->is_stuck || p->status.load(relaxed) == processor::idle) return true;
  }
  return false;
}

// All machines sleep for pinned fibers, there is work for another, and the system refuses the
// thread: nothing here would ever run again.
void sysmon::watch_for_machines(bool no_machine, std::int64_t now) noexcept {
  if (!no_machine || s_.is_stopping_.load(acquire) ||  // pairs: sched.stopping
      s_.awake_machines_.load(acquire) != 0) {         // pairs: sched.machines
    no_machine_since_ = now;
    return;
  }
  if (now - no_machine_since_ >= machine_patience) report_no_thread();
}

// Fires what is overdue on a processor, whoever has it or not: its machine may be busy, and an idle
// one's timers are nobody's while no machine polls.
void sysmon::look_at_timers(processor& p, std::int64_t now) noexcept {
  if (p.timers.next_due() <= now) p.timers.run_due(now);
}

}  // namespace weft::inline WEFT_ABI::detail
