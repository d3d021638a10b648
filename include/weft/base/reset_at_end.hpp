// Empties an optional at the end of a scope, however the scope is left.
#pragma once

#include <optional>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// What a stored function has captured is destroyed by it before others are told that the function
// has ended.
template <class T>
class reset_at_end {
 public:
  explicit reset_at_end(std::optional<T>& held) noexcept : held_(held) {}
  ~reset_at_end() { held_.reset(); }
  reset_at_end(const reset_at_end&) = delete;
  reset_at_end& operator=(const reset_at_end&) = delete;

 private:
  std::optional<T>& held_;
};

}  // namespace weft::inline WEFT_ABI::detail
