// Reads the monotonic clock.
#include "weft/arch/clock.hpp"

#include <ctime>

namespace weft::inline WEFT_ABI::detail {

std::int64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace weft::inline WEFT_ABI::detail
