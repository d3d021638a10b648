// Exploring schedules: the door to the runs, without types.
#pragma once

#include <cstdint>
#include <source_location>
#include <string>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

struct exploration {
  unsigned schedules;
  std::uint64_t seed;
  unsigned preemptions;
};

struct exploration_end {
  bool ok = true;
  unsigned schedules_run = 0;
  std::uint64_t failing_seed = 0;
  std::string what, schedule;
};

// Calls body(argument) as main of one run after the other. `is_quiet`: a failure is not printed.
[[nodiscard]] exploration_end explore_runs(void (*body)(void* argument), void* argument,
                                           const exploration& how, bool is_quiet,
                                           std::source_location where);

}  // namespace weft::inline WEFT_ABI::detail
