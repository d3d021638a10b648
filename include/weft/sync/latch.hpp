// The core of a latch: a gate at zero that opens once.
#pragma once

#include <cstddef>

#include "weft/sync/zero_gate.hpp"

namespace weft::inline WEFT_ABI::detail {

class latch_core {
 public:
  explicit latch_core(std::ptrdiff_t n);

  void count_down(std::ptrdiff_t n);
  [[nodiscard]] bool try_wait() const noexcept {
    pass_entry();
    return gate_.is_open();
  }

  // A source that has fired wins over a latch that is open.
  wait_end wait(const wait_limits& limits = {}) {
    used_.note_use();
    return gate_.pass(limits, [this](const wait_limits& l) { return wait_slow(l); });
  }

 private:
  wait_end wait_slow(const wait_limits& limits);

  zero_gate gate_;
  bubble_mark used_;
};

}  // namespace weft::inline WEFT_ABI::detail
