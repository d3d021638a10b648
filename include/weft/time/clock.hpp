// weft::clock, and saturating conversions to the nanoseconds that the runtime counts in.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

#include "weft/sched/timer_heap.hpp"

namespace weft::inline WEFT_ABI {

/// The clock of sleeps, timers and deadlines: steady, in nanoseconds; virtual inside a test bubble
/// and in a seeded run.
struct clock {
  using duration = std::chrono::nanoseconds;          ///< what its time points are counted in
  using rep = duration::rep;                          ///< as of every clock
  using period = duration::period;                    ///< likewise
  using time_point = std::chrono::time_point<clock>;  ///< since some point in the past
  static constexpr bool is_steady = true;             ///< it never goes back

  /// What time it is, for the calling fiber.
  /// Threads any.
  [[nodiscard]] static time_point now() noexcept { return time_point(duration(detail::now_ns())); }
};

namespace detail {

// In nanoseconds, never beyond the range: the longest durations stay the longest. Rounded up, so
// that nothing comes early. Not a number is no time at all.
template <class Rep, class Period>
[[nodiscard]] constexpr std::int64_t to_ns(std::chrono::duration<Rep, Period> d) noexcept {
  using limits = std::numeric_limits<std::int64_t>;
  if constexpr (std::is_same_v<Rep, std::int64_t> && std::is_same_v<Period, std::nano>) {
    return d.count();
  } else {
    using wide = std::chrono::duration<long double, std::nano>;
    const long double ns = wide(d).count();
    if (ns >= static_cast<long double>(limits::max())) return limits::max();
    if (ns <= static_cast<long double>(limits::min())) return limits::min();
    if constexpr (std::chrono::treat_as_floating_point_v<Rep>) {
      if (ns != ns) return 0;
      const auto whole = static_cast<std::int64_t>(ns);
      return static_cast<long double>(whole) < ns ? whole + 1 : whole;
    } else {
      return std::chrono::ceil<std::chrono::nanoseconds>(d).count();
    }
  }
}

[[nodiscard]] constexpr std::int64_t to_ns(clock::time_point when) noexcept {
  return when.time_since_epoch().count();
}

}  // namespace detail

}  // namespace weft::inline WEFT_ABI
