// Locks, condition variables, wait groups, once, semaphores, latches, barriers and pools.
#pragma once

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/error.hpp"
#include "weft/group.hpp"  // IWYU pragma: export
#include "weft/runtime.hpp"
#include "weft/singleflight.hpp"  // IWYU pragma: export
#include "weft/sync/barrier.hpp"
#include "weft/sync/cond.hpp"
#include "weft/sync/latch.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/once.hpp"
#include "weft/sync/once_value.hpp"
#include "weft/sync/pool.hpp"
#include "weft/sync/rw_mutex.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/stored.hpp"
#include "weft/sync/wait_group.hpp"
#include "weft/time/clock.hpp"

namespace weft::inline WEFT_ABI {

class context;

namespace detail {

// A time point of any clock on the caller's weft::clock.
template <class Clock, class Duration>
[[nodiscard]] std::int64_t deadline_of(const std::chrono::time_point<Clock, Duration>& when) {
  const std::int64_t at = to_ns(when.time_since_epoch());
  if constexpr (std::is_same_v<Clock, clock>) {
    return at;
  } else {
    const std::int64_t now = to_ns(Clock::now().time_since_epoch());
    return at == never ? never : due_after(at <= now ? 0 : at - now);
  }
}

// Tries until `when`; once more when a clock that may be set back says that it is earlier.
template <class Clock, class Duration, class Try>
[[nodiscard]] bool try_until(const std::chrono::time_point<Clock, Duration>& when, Try attempt) {
  for (;;) {
    if (attempt(wait_limits{nullptr, deadline_of(when)}) == wait_end::granted) return true;
    if (Clock::is_steady || Clock::now() >= when) return false;
  }
}

// `d` from now.
template <class Rep, class Period>
[[nodiscard]] clock::time_point time_after(const std::chrono::duration<Rep, Period>& d) noexcept {
  return clock::time_point(clock::duration(due_after(to_ns(d))));
}

template <class Rep, class Period>
[[nodiscard]] wait_limits limits_for(const std::chrono::duration<Rep, Period>& d) noexcept {
  return {nullptr, due_after(to_ns(d))};
}

/// What every lock offers to those who want it for themselves. An owner has no thread: one fiber
/// may lock and another unlock, and a lock may be held while a fiber parks and moves to another
/// thread.
template <class Core>
class exclusive_lock {
 public:
  /// Unlocked.
  constexpr exclusive_lock() noexcept = default;

  /// Blocks   while others have it.
  void lock() { core_.lock(); }

  /// Blocks   while others have it and `ctx` is not done.
  /// Cancel   does not lock; a context that was done before wins over a lock that is free.
  /// Errors   std::system_error with the context's error.
  void lock(const context& ctx) { throw_if_canceled(core_.lock(limits_of(ctx)), ctx); }

  /// The same, reporting in `ec`: false, and not locked, when `ctx` is done.
  [[nodiscard]] bool lock(const context& ctx, std::error_code& ec) {
    return report_canceled(core_.lock(limits_of(ctx)), ctx, ec);
  }

  /// Locks if nobody has it and nobody is due to get it. Never blocks.
  [[nodiscard]] bool try_lock() noexcept { return core_.try_lock(); }

  /// Blocks   for `d` at most; false: not locked.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    if (d <= d.zero()) return core_.try_lock();
    return core_.lock(limits_for(d)) == wait_end::granted;
  }

  /// Blocks   until `when` at the latest; false: not locked.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when) {
    return try_until(when, [this](const wait_limits& limits) { return core_.lock(limits); });
  }

  /// Never blocks.
  /// Errors   weft::usage_error when nobody has it so; the lock stays usable.
  void unlock() { core_.unlock(); }

 protected:
  ~exclusive_lock() = default;

  Core core_;
};

}  // namespace detail

/// A mutual exclusion lock; works with std::lock_guard, std::unique_lock and std::scoped_lock.
///
/// It has no owner: one fiber may lock it and another unlock it, and it may be held while a fiber
/// parks and moves to another thread. Locking it twice in one fiber blocks for ever. Fairness is
/// Go's: whoever runs may take a free mutex before a waiter that was just woken, until a waiter has
/// tried in vain for more than a millisecond; then it goes from owner to waiter in the order of the
/// queue until nobody waits that long any more.
///
/// Threads  All members from any fiber and any thread. It may be destroyed as soon as the last call
///          that got it has unlocked it.
/// Order    An unlock synchronizes with every later lock that succeeds.
class mutex : public detail::exclusive_lock<detail::mutex_core> {};

/// A lock for many readers or one writer; works with std::shared_lock, std::unique_lock and
/// std::scoped_lock.
///
/// A writer that waits keeps later readers out, so it is not starved; a write unlock lets in all
/// readers that came meanwhile before the next writer. A fiber that locks twice, in whatever mix,
/// can block for ever.
///
/// Threads  All members from any fiber and any thread. It may be destroyed as soon as the last call
///          that got it, in either way, has unlocked it.
/// Order    An unlock synchronizes with every later lock; a shared unlock with later write locks.
class rw_mutex : public detail::exclusive_lock<detail::rw_mutex_core> {
 public:
  /// Blocks   while a writer has it or waits for it.
  void lock_shared() { core_.lock_shared(); }

  /// Blocks   while a writer has it or waits for it, and `ctx` is not done.
  /// Cancel   does not lock; a context that was done before wins over a mutex that is free.
  /// Errors   std::system_error with the context's error.
  void lock_shared(const context& ctx) {
    detail::throw_if_canceled(core_.lock_shared(detail::limits_of(ctx)), ctx);
  }
  /// The same, reporting in `ec`: false, and not locked, when `ctx` is done.
  [[nodiscard]] bool lock_shared(const context& ctx, std::error_code& ec) {
    return detail::report_canceled(core_.lock_shared(detail::limits_of(ctx)), ctx, ec);
  }

  /// Locks if no writer has it or waits for it. Never blocks.
  [[nodiscard]] bool try_lock_shared() noexcept { return core_.try_lock_shared(); }

  /// Blocks   for `d` at most; false: not locked.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& d) {
    if (d <= d.zero()) return core_.try_lock_shared();
    return core_.lock_shared(detail::limits_for(d)) == detail::wait_end::granted;
  }

  /// Blocks   until `when` at the latest; false: not locked.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& when) {
    return detail::try_until(
        when, [this](const detail::wait_limits& limits) { return core_.lock_shared(limits); });
  }

  /// Never blocks.
  /// Errors   weft::usage_error when nobody has it for reading; it stays usable.
  void unlock_shared() { core_.unlock_shared(); }
};

/// Waits for what others bring about under a lock; the lock may be of any type.
///
/// The wait begins before the lock is given up, so a signal after that is not lost, and a wait
/// returns for one signal, one broadcast or its limit, never without a reason. All waits return
/// with the lock held.
///
/// Threads  All members from any fiber and any thread. Signals need not hold the lock.
class cond {
 public:
  constexpr cond() noexcept = default;

  /// Blocks   until a signal or broadcast, and then until it has the lock again.
  /// Errors   what the lock throws, as when it is not held.
  template <class Lock>
  void wait(Lock& lock) {
    static_cast<void>(core_.wait(detail::lock_ref(lock), detail::wait_limits{}));
  }

  /// The same in a loop, until `condition()`, which is called with the lock held.
  template <class Lock, class Condition>
    requires std::predicate<Condition&>
  void wait(Lock& lock, Condition condition) {
    while (!condition()) wait(lock);
  }

  /// Blocks   as wait(lock), and while `ctx` is not done.
  /// Cancel   the lock is held again; a context that was done before does not give it up.
  /// Errors   as wait(lock); std::system_error with the context's error.
  template <class Lock>
  void wait(const context& ctx, Lock& lock) {
    detail::throw_if_canceled(core_.wait(detail::lock_ref(lock), detail::limits_of(ctx)), ctx);
  }
  /// The same, reporting in `ec`: false when `ctx` is done.
  template <class Lock>
  bool wait(const context& ctx, Lock& lock, std::error_code& ec) {
    return detail::report_canceled(core_.wait(detail::lock_ref(lock), detail::limits_of(ctx)), ctx,
                                   ec);
  }
  /// The same in a loop, until `condition()`. A context that was done before wins over a condition
  /// that holds.
  template <class Lock, class Condition>
    requires std::predicate<Condition&>
  void wait(const context& ctx, Lock& lock, Condition condition) {
    std::error_code ec;
    if (!wait(ctx, lock, std::move(condition), ec)) detail::throw_system_error(ec);
  }
  /// The same, reporting in `ec`: false when `ctx` is done.
  template <class Lock, class Condition>
    requires std::predicate<Condition&>
  bool wait(const context& ctx, Lock& lock, Condition condition, std::error_code& ec) {
    ec = detail::error_of(ctx);
    if (ec) return false;
    while (!condition()) {
      if (!wait(ctx, lock, ec)) return false;
    }
    return true;
  }

  /// Blocks   until a signal, a broadcast or `when`, and then until it has the lock again.
  template <class Lock, class Clock, class Duration>
  std::cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& when) {
    const detail::wait_limits limits{nullptr, detail::deadline_of(when)};
    return core_.wait(detail::lock_ref(lock), limits) == detail::wait_end::granted
               ? std::cv_status::no_timeout
               : std::cv_status::timeout;
  }
  /// The same in a loop, until `condition()`; what it gives at the end.
  template <class Lock, class Clock, class Duration, class Condition>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& when,
                  Condition condition) {
    while (!condition()) {
      if (wait_until(lock, when) == std::cv_status::timeout) return condition();
    }
    return true;
  }

  /// As wait_until, for a time from now.
  template <class Lock, class Rep, class Period>
  std::cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d) {
    return wait_until(lock, detail::time_after(d));
  }
  /// The same in a loop, until `condition()`; what it gives at the end.
  template <class Lock, class Rep, class Period, class Condition>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d, Condition condition) {
    return wait_until(lock, detail::time_after(d), std::move(condition));
  }

  /// Ends the wait that has waited longest, if there is one. Never blocks.
  void signal() { core_.signal(); }

  /// Ends all waits that have begun. Never blocks.
  void broadcast() { core_.broadcast(); }

 private:
  detail::cond_core core_;
};

/// Waits until a number of operations have ended.
///
///     weft::wait_group wg;
///     for (auto& part : parts) wg.go([&part] { work(part); });
///     wg.wait();
///
/// Threads  All members from any fiber and any thread. An add() from zero must happen before the
///          wait() that it is meant for; a wait group may be used again when all waits have
///          returned, and destroyed as soon as they have.
/// Order    A done() synchronizes with the return of every wait that it releases.
class wait_group {
 public:
  /// The counter is zero.
  constexpr wait_group() noexcept = default;

  /// Adds `n`, which may be negative, to the counter; at zero all waits are released. Never blocks.
  /// Errors   weft::usage_error when the counter would be negative, when n is beyond 2^31, and, as
  ///          far as it is noticed, when it starts from zero while others still wait.
  void add(std::ptrdiff_t n = 1) { core_.add(n); }

  /// add(-1).
  void done() { core_.add(-1); }

  /// Blocks   while the counter is not zero.
  /// Errors   weft::usage_error when the wait group is used again before this wait has returned.
  void wait() { core_.wait(); }

  /// Blocks   while the counter is not zero and `ctx` is not done.
  /// Cancel   stops waiting; the counter is not touched.
  /// Errors   as wait(); std::system_error with the context's error.
  void wait(const context& ctx) {
    detail::throw_if_canceled(core_.wait(detail::limits_of(ctx)), ctx);
  }

  /// The same, reporting in `ec`: false when `ctx` is done.
  bool wait(const context& ctx, std::error_code& ec) {
    return detail::report_canceled(core_.wait(detail::limits_of(ctx)), ctx, ec);
  }

  /// Adds one, runs `f` in a new fiber, and counts down when f has returned, or left by exit_fiber,
  /// and was destroyed. An exception that leaves f ends the process, as from any detached fiber.
  /// Errors   those of weft::go; nothing is added then.
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  void go(F&& f, std::source_location where = std::source_location::current()) {
    detail::check_callable(f);
    detail::wait_group_member<std::decay_t<F>> member(core_, std::forward<F>(f));
    member.has_begun();
    weft::go(std::move(member), where);
  }

 private:
  detail::wait_group_core core_;
};

/// Runs one function once, however many call.
///
/// Threads  call() from any fiber and any thread.
/// Order    The end of the function synchronizes with the return of every call.
class once {
 public:
  constexpr once() noexcept = default;

  /// Runs `f` if no call before has run its function; otherwise only waits for the end of that run.
  /// A run counts however it ends: the exception that leaves f leaves this call, and later calls
  /// return at once. A call inside its own f blocks for ever.
  /// Blocks   while another call runs its function.
  template <class F>
  void call(F&& f) {
    if (WEFT_LIKELY(core_.is_done())) return;
    if (!core_.begin()) return;
    const detail::once_run run(core_);
    std::forward<F>(f)();
  }

 private:
  detail::once_core core_;
};

/// A number of units that are taken and given back, in the order of arrival.
///
/// A request that does not fit waits, and all later ones wait behind it, even if they would fit: a
/// large one is not starved.
///
/// Threads  All members from any fiber and any thread. It may be destroyed as soon as the last
///          acquire that it was made for has returned.
/// Order    A release synchronizes with the acquires that take its units.
class semaphore {
 public:
  /// With `n` units, all free.
  /// Errors   weft::usage_error when n is negative.
  explicit semaphore(std::ptrdiff_t n) : core_(n) {}

  /// Takes `k` units.
  /// Blocks   while they are not free or others wait before.
  /// Errors   weft::usage_error when k is negative or more than the semaphore has.
  void acquire(std::ptrdiff_t k = 1) { core_.acquire(k); }

  /// Blocks   as acquire(k), and while `ctx` is not done. More units than the semaphore has are
  ///          waited for until then, without holding up others.
  /// Cancel   takes nothing, also when the units come at that moment; a context that was done
  ///          before wins over units that are free.
  /// Errors   as acquire(k); std::system_error with the context's error.
  void acquire(const context& ctx, std::ptrdiff_t k = 1) {
    detail::throw_if_canceled(core_.acquire(k, detail::limits_of(ctx)), ctx);
  }

  /// The same, reporting in `ec`: false, and nothing taken, when `ctx` is done.
  [[nodiscard]] bool acquire(const context& ctx, std::ptrdiff_t k, std::error_code& ec) {
    return detail::report_canceled(core_.acquire(k, detail::limits_of(ctx)), ctx, ec);
  }
  /// The same for one unit.
  [[nodiscard]] bool acquire(const context& ctx, std::error_code& ec) {
    return acquire(ctx, 1, ec);
  }

  /// Takes `k` units if they are free and nobody waits. Never blocks.
  [[nodiscard]] bool try_acquire(std::ptrdiff_t k = 1) { return core_.try_acquire(k); }

  /// Blocks   for `d` at most; false: nothing taken.
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(const std::chrono::duration<Rep, Period>& d,
                                     std::ptrdiff_t k = 1) {
    if (d <= d.zero()) return core_.try_acquire(k);
    return core_.acquire(k, detail::limits_for(d)) == detail::wait_end::granted;
  }

  /// Blocks   until `when` at the latest; false: nothing taken.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& when,
                                       std::ptrdiff_t k = 1) {
    return detail::try_until(
        when, [this, k](const detail::wait_limits& limits) { return core_.acquire(k, limits); });
  }

  /// Gives `k` units back and lets as many of the first in the queue go on as they suffice for.
  /// Never blocks.
  /// Errors   weft::usage_error when k is negative or more than are held.
  void release(std::ptrdiff_t k = 1) { core_.release(k); }

 private:
  detail::semaphore_core core_;
};

/// Opens once, when it has been counted down to zero, and stays open.
///
/// Threads  All members from any fiber and any thread. It may be destroyed as soon as all waits
///          have returned.
/// Order    A count_down synchronizes with the return of every wait that it releases.
class latch {
 public:
  /// To be counted down `n` times.
  /// Errors   weft::usage_error when n is negative or beyond 2^31.
  explicit latch(std::ptrdiff_t n) : core_(n) {}

  /// Counts down by `n`. Never blocks.
  /// Errors   weft::usage_error when n is negative or beyond 2^31, or the count would be negative.
  void count_down(std::ptrdiff_t n = 1) { core_.count_down(n); }

  /// Whether it is open. Never blocks.
  [[nodiscard]] bool try_wait() const noexcept { return core_.try_wait(); }

  /// Blocks   until it is open.
  void wait() { core_.wait(); }

  /// Blocks   until it is open or `ctx` is done.
  /// Errors   std::system_error with the context's error.
  void wait(const context& ctx) {
    detail::throw_if_canceled(core_.wait(detail::limits_of(ctx)), ctx);
  }
  /// The same, reporting in `ec`: false when `ctx` is done.
  bool wait(const context& ctx, std::error_code& ec) {
    return detail::report_canceled(core_.wait(detail::limits_of(ctx)), ctx, ec);
  }

  /// count_down(n), then wait().
  void arrive_and_wait(std::ptrdiff_t n = 1) {
    core_.count_down(n);
    core_.wait();
  }

 private:
  detail::latch_core core_;
};

/// Lets a number of fibers go on together, phase after phase.
///
/// The last one to arrive in a phase runs the completion; when it has returned, all are released
/// and the next phase begins.
///
/// Threads  All members from any fiber and any thread, as many as it was made for. It may be
///          destroyed when all calls have returned.
/// Order    The arrivals of a phase synchronize with its completion, and that with the returns.
class barrier {
 public:
  /// For `n` that arrive in each phase.
  /// Errors   weft::usage_error when n is negative.
  explicit barrier(std::ptrdiff_t n) : core_(n) {}

  /// With a function that the last to arrive in each phase calls.
  template <class Completion>
    requires std::invocable<Completion&>
  barrier(std::ptrdiff_t n, Completion completion)
      : core_(n), completion_(detail::make_stored<void>(std::move(completion))) {}

  /// Blocks   until the phase has ended.
  /// Errors   what the completion throws, in the call that ran it; the phase has ended then.
  ///          weft::usage_error when more arrive than are expected.
  void arrive_and_wait() { static_cast<void>(arrive({})); }

  /// Blocks   until the phase has ended or `ctx` is done.
  /// Cancel   the arrival does not count.
  /// Errors   as arrive_and_wait(); std::system_error with the context's error.
  void arrive_and_wait(const context& ctx) {
    detail::throw_if_canceled(arrive(detail::limits_of(ctx)), ctx);
  }
  /// The same, reporting in `ec`: false when `ctx` is done.
  bool arrive_and_wait(const context& ctx, std::error_code& ec) {
    return detail::report_canceled(arrive(detail::limits_of(ctx)), ctx, ec);
  }

  /// Arrives without waiting; later phases expect one less.
  /// Errors   as arrive_and_wait().
  void arrive_and_drop() {
    if (core_.arrive_and_drop()) complete();
  }

 private:
  detail::wait_end arrive(const detail::wait_limits& limits) {
    using arrival = detail::barrier_core::arrival;
    const arrival a = core_.arrive_and_wait(limits);
    if (a == arrival::last) complete();
    return a == arrival::gave_up ? detail::wait_end::canceled : detail::wait_end::granted;
  }

  void complete() {
    const detail::barrier_phase_end ends(core_);
    if (completion_ != nullptr) completion_->call();
  }

  detail::barrier_core core_;
  std::unique_ptr<detail::stored<void>> completion_;
};

}  // namespace weft::inline WEFT_ABI
