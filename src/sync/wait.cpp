// The limits of a wait: deadlines and cancellations.
#include "weft/sync/wait.hpp"

#include "weft/sched/cancel_source.hpp"

namespace weft::inline WEFT_ABI::detail {

bool arm_limits(multi_wait& wait, const wait_limits& limits) {
  if (limits.deadline != never) wait.arm_deadline(limits.deadline, by_deadline);
  return limits.source == nullptr || wait.watch(*limits.source, by_cancel);
}

bool is_canceled(const wait_limits& limits) noexcept {
  return limits.source != nullptr && limits.source->is_fired();
}

wait_end block_until_limit(wait_reason reason, const wait_limits& limits) {
  multi_wait wait(reason, nullptr, 0);
  if (!arm_limits(wait, limits)) return wait_end::canceled;
  const std::uint32_t index = wait.park();
  return index == by_deadline ? wait_end::timed_out : wait_end::canceled;
}

}  // namespace weft::inline WEFT_ABI::detail
