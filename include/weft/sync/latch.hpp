// The core of a latch: a gate at zero that opens once.
#pragma once

#include <cstddef>

#include "weft/sched/park.hpp"
#include "weft/sync/zero_gate.hpp"

namespace weft::inline WEFT_ABI::detail {

class latch_core {
 public:
  explicit latch_core(std::ptrdiff_t n);

  void count_down(std::ptrdiff_t n);
  [[nodiscard]] bool try_wait() const noexcept { return gate_.is_open(); }

  void wait() {
    safepoint();
    if (!gate_.is_open()) wait_slow(wait_limits{});
  }
  // A source that has fired wins over a latch that is open.
  [[nodiscard]] wait_end wait(const wait_limits& limits) {
    safepoint();
    if (is_canceled(limits)) return wait_end::canceled;
    return gate_.is_open() ? wait_end::granted : wait_slow(limits);
  }

 private:
  wait_end wait_slow(const wait_limits& limits);

  zero_gate gate_;
};

}  // namespace weft::inline WEFT_ABI::detail
