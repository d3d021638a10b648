// Counting a latch down, and waiting for it.
#include "weft/sync/latch.hpp"

#include "weft/base/error.hpp"

namespace weft::inline WEFT_ABI::detail {

latch_core::latch_core(std::ptrdiff_t n) : gate_("latch", n) {
  if (n < 0 || n > zero_gate::max_step) throw_usage_error("latch: count out of range");
}

void latch_core::count_down(std::ptrdiff_t n) {
  pass_entry();
  used_.note_use();
  if (n < 0 || n > zero_gate::max_step) throw_usage_error("latch: count out of range");
  const std::int64_t step = -std::int64_t{n} * zero_gate::one;
  const std::int64_t before = gate_.step(step);
  if (before + step < 0) {
    gate_.undo(step);
    throw_usage_error("latch: counted below zero");
  }
  if (n != 0 && before + step == zero_gate::waiting) gate_.release_all();
}

wait_end latch_core::wait_slow(const wait_limits& limits) {
  bool has_waited = false;
  return gate_.wait(wait_reason::latch_wait, limits, has_waited, used_.use());
}

}  // namespace weft::inline WEFT_ABI::detail
