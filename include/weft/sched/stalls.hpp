// WEFT_STALLS: reports of fibers that run for long without a runtime entry.
//
// Model       sysmon keeps a question standing at each machine that runs a fiber
//             (sched/take_away.hpp); the first entry answers it. One that has stood unanswered for
//             the limit, with or without the processor taken meanwhile, is a stall. Its stack is
//             taken by a signal to its thread, as it runs on: at its next entry it would stand
//             somewhere else. If the question still stands afterwards, the sample is the stall's.
// Once        for each call site. Two samples are of one site if the same calls led to the same
//             function, and one of them was taken there or further inside.
// Cost        nothing unless asked for; then a look at each machine every millisecond.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class scheduler;
struct machine;
struct stack_sample;

// sysmon's own.
class stall_watch {
 public:
  explicit stall_watch(scheduler& s) noexcept : s_(s) {}

  // At each look of sysmon; `limit` in nanoseconds.
  void look(std::int64_t now, std::int64_t limit) noexcept;

 private:
  static constexpr std::size_t most_sites = 256;

  void report(machine& m, std::int64_t ran, std::uint32_t question) noexcept;
  [[nodiscard]] bool is_new_site(const stack_sample& sample) noexcept;

  scheduler& s_;
  std::vector<std::vector<void*>> sites_;  // the stacks that were told
  bool told_without_stack_ = false;
};

}  // namespace weft::inline WEFT_ABI::detail
