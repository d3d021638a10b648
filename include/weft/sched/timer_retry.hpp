// When a timer that finds no memory for the fiber that it has to start tries again.
#pragma once

#include <cstdint>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// By the timer's fire function only, which is never called twice at once.
class timer_retry {
 public:
  // Until when to wait. Does not return when there was no memory for a second: what the timer was
  // for would never happen, and nobody would know.
  [[nodiscard]] std::int64_t after_refusal(std::int64_t now) noexcept;

 private:
  std::int64_t first_refusal_ = 0;  // 0: none yet
};

}  // namespace weft::inline WEFT_ABI::detail
