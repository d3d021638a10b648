// Sleeping, with and without something that may end it.
#include "weft/time/sleep.hpp"

#include "weft/sched/park.hpp"
#include "weft/sched/timer_heap.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::uint32_t sleep_by_time = 0;
constexpr std::uint32_t sleep_by_cancel = 1;

void commit_sleep(void*) noexcept {}

void park_until(std::int64_t due) {
  multi_wait wait(wait_reason::sleep, nullptr, 0);
  wait.arm_deadline(due, sleep_by_time);
  wait.park(commit_sleep, nullptr);
}

}  // namespace

void sleep_for_ns(std::int64_t duration) {
  safepoint();
  if (duration > 0) park_until(due_after(duration));
}

void sleep_until_ns(std::int64_t due) {
  safepoint();
  if (due > now_ns()) park_until(due);
}

bool sleep_until_ns(cancel_source& source, std::int64_t due) {
  safepoint();
  if (source.is_fired()) return false;
  if (due <= now_ns()) return true;
  multi_wait wait(wait_reason::sleep, nullptr, 0);
  if (!wait.watch(source, sleep_by_cancel)) return false;
  wait.arm_deadline(due, sleep_by_time);
  return wait.park(commit_sleep, nullptr) == sleep_by_time;
}

}  // namespace weft::inline WEFT_ABI::detail
