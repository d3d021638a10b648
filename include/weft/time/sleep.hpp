// Sleeping in nanoseconds of the caller's clock, with and without something that may end it.
#pragma once

#include <cstdint>

#include "weft/sched/cancel_source.hpp"

namespace weft::inline WEFT_ABI::detail {

// Parks the caller, but not for d <= 0.
void sleep_for_ns(std::int64_t duration);
void sleep_until_ns(std::int64_t due);

// The same, but ends early when `source` fires. False: it has fired, also if before the call.
[[nodiscard]] bool sleep_until_ns(cancel_source& source, std::int64_t due);

}  // namespace weft::inline WEFT_ABI::detail
