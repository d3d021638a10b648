// Time: the clock, sleeping, timers, tickers, functions that run later.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/chan.hpp"
#include "weft/time/clock.hpp"
#include "weft/time/sleep.hpp"
#include "weft/time/timer.hpp"

/// @file
/// Durations may be of any std::chrono type and saturate: the longest is never. Nothing happens
/// early; how late it may be depends on how busy the processors are. The forms that take a context
/// are in weft/context.hpp.

namespace weft::inline WEFT_ABI {

/// Suspends the caller for at least `duration`; zero or less returns at once.
/// Blocks  for that time.
/// Errors  std::bad_alloc.
/// Threads any fiber or thread.
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> duration) {
  detail::sleep_for_ns(detail::to_ns(duration));
}

/// Suspends the caller until `when` on weft::clock; time_point::max() is never.
/// Blocks  until then; not at all where it is past.
/// Errors  std::bad_alloc.
/// Threads any fiber or thread.
template <class Duration>
void sleep_until(std::chrono::time_point<clock, Duration> when) {
  detail::sleep_until_ns(detail::to_ns(when.time_since_epoch()));
}

/// The same for the time point of another clock, which may be set while the caller sleeps.
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> when) {
  for (auto now = Clock::now(); now < when; now = Clock::now()) sleep_for(when - now);
}

class timer;

/// Runs `f` in a fiber of its own after `duration`; zero or less at once. The timer has no channel.
/// After a reset() `f` runs again, which may overlap an earlier run.
/// Errors  std::bad_alloc; std::logic_error from a plain thread while there is not exactly one
///         runtime. An exception that leaves `f` ends the process, as in every detached fiber.
/// Threads any fiber or thread.
/// Order   synchronizes with the start of `f`, as does a reset.
template <class Rep, class Period, class F>
[[nodiscard]] timer after_func(std::chrono::duration<Rep, Period> duration, F&& f,
                               std::source_location where = std::source_location::current());

/// One event in the future: a value on its channel, or a call made by after_func. Move-only; the
/// destructor stops it.
class timer {
 public:
  /// Sends on the channel after `duration`, or at once where that is not positive, the time at
  /// which that was due.
  /// Errors  std::bad_alloc; std::logic_error from a plain thread while there is not exactly one
  ///         runtime.
  template <class Rep, class Period>
  explicit timer(std::chrono::duration<Rep, Period> duration) : timer(detail::chan_timer::make()) {
    chan_->start(detail::to_ns(duration), 0);
  }
  timer(timer&& other) noexcept
      : chan_(std::exchange(other.chan_, nullptr)), func_(std::exchange(other.func_, nullptr)) {}
  /// Stops what it had before.
  timer& operator=(timer&& other) noexcept {
    timer old(std::move(*this));
    chan_ = std::exchange(other.chan_, nullptr);
    func_ = std::exchange(other.func_, nullptr);
    return *this;
  }
  ~timer() {
    if (chan_ != nullptr) chan_->close();
    if (func_ != nullptr) func_->close();
  }

  /// The channel, which looks unbuffered whether the timer has fired or not; nil for after_func.
  /// Threads the same as for every channel; of several receivers one gets the value.
  [[nodiscard]] recv_chan<clock::time_point> c() const noexcept;

  /// Keeps the timer from firing. True: it was pending, or its value had not been received and now
  /// never will be; `f` of after_func will not run. False: stopped already, received, `f` started.
  /// Never blocks; does not wait for `f`. The channel is not closed.
  /// Errors  std::logic_error when the timer was moved from.
  /// Threads any, at the same time as any other operation but moves.
  bool stop() {
    if (chan_ != nullptr) return chan_->stop();
    return function().stop();
  }

  /// Sets it to `duration` from now, whatever its state; no value of the earlier setting can be
  /// received after that. Receivers that are blocked wait for the new time.
  /// @return what stop() would have.
  /// Errors  as the constructor and stop(); it is stopped then.
  /// Threads any, at the same time as any other operation but moves.
  template <class Rep, class Period>
  bool reset(std::chrono::duration<Rep, Period> duration) {
    if (chan_ != nullptr) return chan_->reset(detail::to_ns(duration), 0);
    return function().reset(detail::to_ns(duration));
  }

  /// Gives up the handle, but lets the timer be: `f` will run; the channel's handles stay good.
  void detach() noexcept {
    if (chan_ != nullptr) std::exchange(chan_, nullptr)->ticks().drop_ref();
    if (func_ != nullptr) std::exchange(func_, nullptr)->drop_ref();
  }

 private:
  template <class Rep, class Period, class F>
  friend timer after_func(std::chrono::duration<Rep, Period>, F&&, std::source_location);

  explicit timer(detail::chan_timer& chan) noexcept : chan_(&chan) {}
  explicit timer(detail::func_timer* func) noexcept : func_(func) {}

  detail::func_timer& function() const {
    if (func_ == nullptr) detail::throw_uninitialized_timer();
    return *func_;
  }

  detail::chan_timer* chan_ = nullptr;  // at most one of the two; each with a count
  detail::func_timer* func_ = nullptr;
};

namespace detail {

// A handle of its own to the timer's channel; nil for null.
[[nodiscard]] inline recv_chan<clock::time_point> handle_to(chan_timer* timer) noexcept {
  if (timer == nullptr) return {};
  timer->ticks().add_ref();
  return chan_access::adopt<recv_chan<clock::time_point>>(&timer->ticks());
}

}  // namespace detail

inline recv_chan<clock::time_point> timer::c() const noexcept { return detail::handle_to(chan_); }

template <class Rep, class Period, class F>
timer after_func(std::chrono::duration<Rep, Period> duration, F&& f, std::source_location where) {
  using Function = detail::typed_func_timer<std::decay_t<F>>;
  timer made(new Function(std::decay_t<F>(std::forward<F>(f)), where));
  made.func_->start(detail::to_ns(duration));
  return made;
}

/// A timer without a handle: its channel gives the time once `duration` has passed. Dropping the
/// channel releases everything.
/// Errors  as those of timer.
template <class Rep, class Period>
[[nodiscard]] recv_chan<clock::time_point> after(std::chrono::duration<Rep, Period> duration) {
  timer made(duration);
  recv_chan<clock::time_point> c = made.c();
  made.detach();
  return c;
}

/// Sends the time on its channel again and again, at start + n * interval. A receiver that is late
/// finds at most one tick waiting, the oldest; the others are lost. Move-only; the destructor stops
/// it.
class ticker {
 public:
  /// Errors  std::logic_error where the interval is not positive, or from a plain thread while
  ///         there is not exactly one runtime; std::bad_alloc.
  template <class Rep, class Period>
  explicit ticker(std::chrono::duration<Rep, Period> interval)
      : ticker(detail::positive_interval(detail::to_ns(interval),
                                         "non-positive interval for NewTicker")) {}
  ticker(ticker&& other) noexcept : chan_(std::exchange(other.chan_, nullptr)) {}
  /// Stops what it had before.
  ticker& operator=(ticker&& other) noexcept {
    ticker old(std::move(*this));
    chan_ = std::exchange(other.chan_, nullptr);
    return *this;
  }
  ~ticker() {
    if (chan_ != nullptr) chan_->close();
  }

  /// The channel, which looks unbuffered; it is never closed.
  [[nodiscard]] recv_chan<clock::time_point> c() const noexcept { return detail::handle_to(chan_); }

  /// No more ticks, and none that waits. A second stop changes nothing. Never blocks.
  /// Errors  std::logic_error when the ticker was moved from.
  /// Threads any, at the same time as any other operation but moves.
  void stop() { chan().stop(); }

  /// The next tick comes after `interval`, also if it was stopped; no tick of the old grid can be
  /// received after that.
  /// Errors  std::logic_error where the interval is not positive: the ticker goes on unchanged; or
  ///         when it was moved from.
  /// Threads any, at the same time as any other operation but moves.
  template <class Rep, class Period>
  void reset(std::chrono::duration<Rep, Period> interval) {
    const std::int64_t ns = detail::positive_interval(detail::to_ns(interval),
                                                      "non-positive interval for Ticker.Reset");
    chan().reset(ns, ns);
  }

 private:
  explicit ticker(std::int64_t interval) : chan_(&detail::chan_timer::make()) {
    try {
      chan_->start(interval, interval);
    } catch (...) {
      chan_->ticks().drop_ref();
      throw;
    }
  }

  detail::chan_timer& chan() const {
    if (chan_ == nullptr) detail::throw_uninitialized_timer();
    return *chan_;
  }

  detail::chan_timer* chan_ = nullptr;  // with a count
};

}  // namespace weft::inline WEFT_ABI
