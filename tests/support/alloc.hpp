// Counts what goes through operator new, and refuses large requests on demand.
//
// support/alloc.cpp replaces the global operators; what the runtime maps by itself is not counted.
// ThreadSanitizer brings its own and does not let them be replaced: nothing is counted or refused
// then.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

namespace test {

inline constexpr bool counts_allocations = WEFT_TSAN == 0;

// Calls of operator new so far, by all threads.
[[nodiscard]] std::size_t allocations() noexcept;

// Bytes that are allocated now.
[[nodiscard]] std::ptrdiff_t live_bytes() noexcept;

// While it lives, requests of `size` bytes or more throw std::bad_alloc.
class refuse_allocations {
 public:
  explicit refuse_allocations(std::size_t size) noexcept;
  ~refuse_allocations();
  refuse_allocations(const refuse_allocations&) = delete;
  refuse_allocations& operator=(const refuse_allocations&) = delete;
};

}  // namespace test
