// One round of giving back what lies unused.
#include "weft/sched/trimmer.hpp"

#include "weft/sched/aging.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

void trimmer::look(scheduler& s, std::int64_t now) noexcept {
  if (is_done_ || now < next_) return;
  const bool stacks_rest = s.trim_stacks();
  is_done_ = age_unused(s) && stacks_rest;
  next_ = now + period;
}

}  // namespace weft::inline WEFT_ABI::detail
