// Patience with refused memory.
#include "weft/sched/timer_retry.hpp"

#include "weft/sched/reports.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::int64_t between_tries = 1'000'000;
constexpr std::int64_t retry_limit = 1'000'000'000;

}  // namespace

std::int64_t timer_retry::after_refusal(std::int64_t now) noexcept {
  if (first_refusal_ == 0) first_refusal_ = now;
  if (now - first_refusal_ >= retry_limit) report_no_memory_for_timer();
  return now + between_tries;
}

}  // namespace weft::inline WEFT_ABI::detail
