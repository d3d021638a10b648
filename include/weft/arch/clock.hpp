// The real monotonic clock.
#pragma once

#include <cstdint>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Nanoseconds of CLOCK_MONOTONIC: steady, stands still in suspension.
[[nodiscard]] std::int64_t monotonic_ns() noexcept;

}  // namespace weft::inline WEFT_ABI::detail
