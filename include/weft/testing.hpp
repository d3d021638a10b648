// Tests of concurrent code: virtual time, leaks, and many schedules.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/debug.hpp"
#include "weft/testing/bubble_run.hpp"
#include "weft/testing/explore_run.hpp"

/// @file
/// Not part of weft.hpp: for tests.

namespace weft::inline WEFT_ABI {

/// For the tests of programs that use weft.
namespace testing {

/// How a bubble is to be.
struct bubble_options {};

namespace detail {

/// Calls the function that a pointer, at which `f` points, points to.
template <class F>
void call(void* f) {
  static_cast<void>((**static_cast<F**>(f))());
}

}  // namespace detail

/// Runs `f` as the first fiber of a new bubble: a closed world with a clock of its own, to which
/// all belongs that is started inside. The clock begins at a fixed point. It stands still while a
/// fiber of the bubble can run, and when all are durably blocked it jumps to the next timer; no
/// real time passes for that. Returns when all its fibers have ended.
///
/// Durably blocked is what only the bubble itself can end: sleeps, and waits for channels,
/// contexts, timers, conditions, wait groups, joins, semaphores, latches, barriers and groups of
/// the bubble. Not so: waits for a mutex, an rw_mutex or a once (but with a time limit, for one
/// that a fiber of the bubble has), for I/O, for blocking(), and for what was made outside.
///
/// When `f` has returned the clock stands still, and timers fire no more.
///
/// From a plain thread it runs in the runtime that is running, or in one of its own where there is
/// none.
///
/// Blocks  until then.
/// Errors  what leaves `f`; deadlock_error, with the dump of the bubble's fibers, when all are
///         durably blocked and no timer is left, after those that are left have been unwound;
///         std::logic_error inside a bubble. An exception that leaves another fiber ends the
///         process, as always.
/// Threads any fiber or thread; many bubbles at once.
/// Order   all that happens in the bubble happens before the return.
template <class F>
  requires std::invocable<std::remove_reference_t<F>&>
void bubble(F&& f, bubble_options = {},
            std::source_location where = std::source_location::current()) {
  using Body = std::remove_reference_t<F>;
  Body* body = std::addressof(f);
  weft::detail::run_bubble(detail::call<Body>, &body, where);
}

/// Until every other fiber of the bubble is durably blocked or has ended. Timers that are due have
/// fired then; the clock does not move.
/// Blocks  until then.
/// Errors  std::logic_error outside of a bubble, and while another fiber of it waits so.
/// Order   what the others did before happens before the return.
inline void wait() { weft::detail::wait_in_bubble(); }

/// How to explore.
struct explore_options {
  unsigned schedules = 1000;  ///< runs, unless one fails
  std::uint64_t seed = 1;     ///< of the first run; each next one has the next
  /// 0: a random walk, which chooses anew at each step. n: PCT, the fiber with the highest priority
  /// runs, and n times in a run the one that runs loses its own: for bugs that need few switches at
  /// the right places.
  unsigned preemptions = 0;
  bool quiet = false;  ///< a failure is not printed
};

/// What was found.
struct explore_result {
  bool ok;                     ///< no schedule has failed
  unsigned schedules_run;      ///< how many were run, the failing one included
  std::uint64_t failing_seed;  ///< explore with this seed begins with the schedule that has failed
  std::string what;            ///< text of the exception, or the dump of a deadlock
  std::string schedule;        ///< who ran when, and where it stopped; one line each
};

/// Runs `f` again and again, each time as the main fiber of a runtime with one processor, under
/// another schedule: at every call into weft another fiber may go on. Time is virtual. It ends with
/// the first schedule that fails: by an exception that leaves `f`, or because all fibers are
/// blocked for ever. What `f` leaves behind is unwound.
///
/// `f` must depend on nothing but the schedule: then the seed that is printed and returned repeats
/// the failure exactly. Fibers should be joined: an exception that leaves a detached one ends the
/// process, as always. What weft does not see, atomics and plain variables, has no switches in it.
///
/// Blocks  until then; the OS thread of a plain thread.
/// Errors  what the runtime's start throws.
/// Threads any fiber or thread.
template <class F>
  requires std::invocable<std::remove_reference_t<F>&>
explore_result explore(F&& f, explore_options options = {},
                       std::source_location where = std::source_location::current()) {
  using Body = std::remove_reference_t<F>;
  Body* body = std::addressof(f);
  weft::detail::exploration_end end = weft::detail::explore_runs(
      detail::call<Body>, &body, {options.schedules, options.seed, options.preemptions},
      options.quiet, where);
  return {end.ok, end.schedules_run, end.failing_seed, std::move(end.what),
          std::move(end.schedule)};
}

/// Which fibers are no leaks.
struct leak_options {
  std::vector<fiber_id> ignore;  ///< these
  /// Those whose innermost function has one of these names: the whole name, or its last parts, as
  /// in "pool::serve", without parameters.
  std::vector<std::string> ignore_top;
  std::vector<std::string> ignore_any;  ///< the same for any function of the stack
};

/// Fibers that were left behind.
struct leak_report {
  std::vector<debug::fiber_info> fibers;  ///< with their stacks; empty: none
};

/// All fibers of the process that now are, but the caller and what `options` ignores. Where there
/// are some it waits for them to end, up to about a second, and looks again.
/// Blocks  for that time; that of the bubble, inside one.
/// Errors  std::bad_alloc.
/// Threads any fiber or thread.
[[nodiscard]] leak_report find_leaks(leak_options options = {});

/// Options that ignore all fibers that there are now.
/// Errors  std::bad_alloc.
[[nodiscard]] leak_options ignore_current();

/// Calls `f` and finds the fibers that it has left behind.
/// Blocks  as `f` and find_leaks().
/// Errors  what `f` throws; std::bad_alloc.
template <class F>
  requires std::invocable<F&>
[[nodiscard]] leak_report check_leaks(F&& f, leak_options options = {}) {
  const leak_options before = ignore_current();
  options.ignore.insert(options.ignore.end(), before.ignore.begin(), before.ignore.end());
  static_cast<void>(f());
  return find_leaks(std::move(options));
}

/// The fibers with their stacks, as a dump has them.
[[nodiscard]] std::string to_string(const leak_report& report);

}  // namespace testing

}  // namespace weft::inline WEFT_ABI
