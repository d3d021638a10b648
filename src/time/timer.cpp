// Timers that send on a channel or start a function: arming, firing, stopping.
#include "weft/time/timer.hpp"

#include <new>
#include <utility>

#include "weft/base/error.hpp"
#include "weft/chan/section.hpp"
#include "weft/sched/bubble.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// The first point of the grid due + n * period, n > 0, that is after `now`.
std::int64_t next_on_grid(std::int64_t due, std::int64_t period, std::int64_t now) noexcept {
  const std::int64_t missed = now > due ? (now - due) / period : 0;
  std::int64_t next = 0;
  // Both fit or saturate: missed * period is at most now - due.
  if (__builtin_add_overflow(due + missed * period, period, &next)) return never;
  return next;
}

// At the start of an operation on a timer of bubble `home`.
void begin_operation(bubble_id home, const char* what) {
  pass_entry();
  if (home != no_bubble && home != bubble_of_caller()) throw_from_outside(what);
}

constexpr char stop_of_timer[] = "stop of synctest timer";
constexpr char reset_of_timer[] = "reset of synctest timer";

}  // namespace

// --- chan_timer ---

chan_timer& chan_timer::make() {
  static_assert(alignof(chan_timer) <= alignof(chan_core));
  static_assert(alignof(chan_timer) <= alignof(clock::time_point));
  tick_channel* ticks = tick_channel::make(1, true, sizeof(chan_timer));
  auto* timer = ::new (ticks->trailer()) chan_timer(*ticks);
  ticks->set_type(type());
  return *timer;
}

const chan_type& chan_timer::type() noexcept {
  static const chan_type ticks = [] {
    chan_type t = tick_channel::type_of();
    t.destroy = destroy;
    return t;
  }();
  return ticks;
}

void chan_timer::destroy(chan_core* ch) noexcept {
  auto* timer = static_cast<chan_timer*>(static_cast<tick_channel*>(ch)->trailer());
  disarm(*timer);
  timer->~chan_timer();
  tick_channel::type_of().destroy(ch);
}

std::int64_t chan_timer::on_timer(timer_node& node, std::int64_t now) noexcept {
  auto& timer = static_cast<chan_timer&>(node);
  timer.send(timer.due_);
  if (timer.period_ == 0) return never;
  timer.due_ = next_on_grid(timer.due_, timer.period_, now);
  return timer.due_;
}

void chan_timer::send(std::int64_t due) noexcept {
  chan_section section(ticks_);
  // False: a tick is waiting already, and this one is dropped.
  static_cast<void>(ticks_.try_send_locked(clock::time_point(clock::duration(due)), section.woken));
}

bool chan_timer::take_back() noexcept {
  if (ticks_.was_empty_and_open()) return false;
  std::optional<clock::time_point> tick;
  chan_section section(ticks_);
  return ticks_.try_recv_locked(tick, section.woken);
}

void chan_timer::start_locked(std::int64_t delay, std::int64_t period) {
  period_ = period;
  due_ = due_after(delay);
  if (delay <= 0) {
    send(due_);
    if (period == 0) return;
    due_ = next_on_grid(due_, period, due_);
  }
  if (due_ != never) arm(*this, due_);
}

bool chan_timer::stop_locked() noexcept {
  const bool was_armed = disarm(*this);
  // The tick is looked for after that: a fire function may just have sent it.
  return take_back() || was_armed;
}

void chan_timer::start(std::int64_t delay, std::int64_t period) {
  lock_guard held(lock_);
  start_locked(delay, period);
}

bool chan_timer::stop() {
  begin_operation(ticks_.bubble(), stop_of_timer);
  lock_guard held(lock_);
  return stop_locked();
}

void chan_timer::close() noexcept {
  static_cast<void>(stop_locked());
  ticks_.drop_ref();
}

bool chan_timer::reset(std::int64_t delay, std::int64_t period) {
  begin_operation(ticks_.bubble(), reset_of_timer);
  const outside_scope where_made(ticks_.bubble() == no_bubble);
  lock_guard held(lock_);
  const bool was_pending = stop_locked();
  start_locked(delay, period);
  return was_pending;
}

// --- func_timer ---

std::int64_t func_timer::on_timer(timer_node& node, std::int64_t now) noexcept {
  auto& timer = static_cast<func_timer&>(node);
  const timer_retry before = std::exchange(timer.retry_, timer_retry{});
  try {
    timer.shared_function::start(timer.home_);  // takes over the count of being armed
  } catch (const std::bad_alloc&) {
    timer.retry_ = before;
    return timer.retry_.after_refusal(now);
  }
  return never;
}

void func_timer::on_abandon(timer_node& node) noexcept {
  static_cast<func_timer&>(node).drop_ref();
}

void func_timer::start_locked(std::int64_t delay) {
  home_ = &scheduler::of_caller();
  const std::int64_t due = due_after(delay);
  if (due == never) return;
  add_ref();
  try {
    if (delay <= 0) {
      shared_function::start(home_);
    } else {
      arm(*this, due);
    }
  } catch (...) {
    drop_ref();
    throw;
  }
}

void func_timer::start(std::int64_t delay) {
  lock_guard held(lock_);
  start_locked(delay);
}

bool func_timer::stop_locked() noexcept {
  const bool was_armed = disarm(*this);
  if (was_armed) drop_ref();
  return was_armed;
}

bool func_timer::stop() {
  begin_operation(bubble_, stop_of_timer);
  lock_guard held(lock_);
  return stop_locked();
}

void func_timer::close() noexcept {
  {
    lock_guard held(lock_);
    static_cast<void>(stop_locked());
  }
  drop_ref();
}

bool func_timer::reset(std::int64_t delay) {
  begin_operation(bubble_, reset_of_timer);
  const outside_scope where_made(bubble_ == no_bubble);
  lock_guard held(lock_);
  const bool was_armed = stop_locked();
  start_locked(delay);
  return was_armed;
}

// --- errors of use ---

void throw_uninitialized_timer() { throw_usage_error("time: called on uninitialized Timer"); }

std::int64_t positive_interval(std::int64_t period, const char* what) {
  if (period <= 0) throw_usage_error(what);
  return period;
}

}  // namespace weft::inline WEFT_ABI::detail
