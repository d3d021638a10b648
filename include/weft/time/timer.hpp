// Timers that send on a channel or start a function: the untyped part of timer, ticker and after.
//
// Model       A chan_timer lives in the block of its channel, behind a buffer of one that nobody
//             sees: handles to the channel keep the timer, and the last one disarms and frees both.
//             A tick that nobody waits for stands in the buffer; one that finds it full is dropped.
//             So what a late receiver gets is the oldest tick, and stop() and reset() take it back.
//             A func_timer is counted by its handle and by being armed; firing passes the latter
//             count to the fiber that runs the function.
// Invariants  I1 after stop() or reset() no tick of the earlier setting is received
//                                                                (test "timer I1")
//             I2 ticks stand on the grid start + n * period      (test "timer I2")
// Bubbles     a timer belongs to where it was made: its clock and its heap are that bubble's, and
//             nobody else may stop or reset it. One made outside stays there, whoever resets it.
// Locks       `lock_` keeps setters (start, stop, reset) apart; order: lock_, heap, channel. The
//             fire function takes only the last, under the second. due_ and period_ change while
//             the timer is disarmed.
#pragma once

#include <chrono>
#include <cstdint>
#include <source_location>
#include <utility>

#include "weft/arch/spinlock.hpp"
#include "weft/chan/channel.hpp"
#include "weft/sched/shared_function.hpp"
#include "weft/sched/timer_heap.hpp"
#include "weft/sched/timer_retry.hpp"
#include "weft/time/clock.hpp"

namespace weft::inline WEFT_ABI::detail {

using tick_channel = channel<clock::time_point>;

class chan_timer : private timer_node {
 public:
  // Not armed; the channel has one handle, for the caller.
  static chan_timer& make();

  // Of a new timer. After `delay`, or at once where that is not positive; then every `period`, if
  // that is not 0. Throws what arm() throws.
  void start(std::int64_t delay, std::int64_t period);
  // True: it was armed, or its tick was not received. Throws where it is another bubble's, as does
  // reset.
  bool stop();
  // stop() and start() in one; gives what stop() gives.
  bool reset(std::int64_t delay, std::int64_t period);

  // By its owner, the last that could set it: stops it, and gives up a handle to the channel.
  void close() noexcept;

  [[nodiscard]] tick_channel& ticks() const noexcept { return ticks_; }

 private:
  explicit chan_timer(tick_channel& ticks) noexcept : ticks_(ticks) { fire = on_timer; }
  ~chan_timer() = default;

  static const chan_type& type() noexcept;
  static void destroy(chan_core* ch) noexcept;
  static std::int64_t on_timer(timer_node& node, std::int64_t now) noexcept;

  void start_locked(std::int64_t delay, std::int64_t period);
  bool stop_locked() noexcept;
  void send(std::int64_t due) noexcept;
  bool take_back() noexcept;

  tick_channel& ticks_;
  spinlock lock_;
  std::int64_t due_ = never;
  std::int64_t period_ = 0;
};

class func_timer : public timer_node, public shared_function {
 public:
  // As chan_timer's. Without a positive delay it starts the function at once. Throws what arm() and
  // create_fiber() throw.
  void start(std::int64_t delay);
  // True: it was armed, and the function will not run. Throws where it is another bubble's, as
  // reset.
  bool stop();
  bool reset(std::int64_t delay);
  // By its owner, the last that could set it.
  void close() noexcept;

 protected:
  func_timer(const callable_type& started, end_function end, std::source_location where) noexcept
      : shared_function(started, end, where) {
    fire = on_timer;
    abandon = on_abandon;
  }
  ~func_timer() { disarm(*this); }

 private:
  static std::int64_t on_timer(timer_node& node, std::int64_t now) noexcept;
  static void on_abandon(timer_node& node) noexcept;

  void start_locked(std::int64_t delay);
  bool stop_locked() noexcept;

  const bubble_id bubble_ = bubble_of_caller();
  spinlock lock_;
  scheduler* home_ = nullptr;  // in which it is armed
  timer_retry retry_;
};

template <class F>
class typed_func_timer final : public func_timer {
 public:
  typed_func_timer(F&& f, std::source_location where)
      : func_timer(started_type<typed_func_timer, F>, end, where), f_(std::move(f)) {}

  void call() { f_(); }

 private:
  static void end(shared_function* self) noexcept { delete static_cast<typed_func_timer*>(self); }

  F f_;
};

[[noreturn]] void throw_uninitialized_timer();
// A ticker's interval, checked; `what` is the message.
[[nodiscard]] std::int64_t positive_interval(std::int64_t period, const char* what);

}  // namespace weft::inline WEFT_ABI::detail
