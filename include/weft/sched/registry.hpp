// All schedulers of the process: for plain threads that name none, the deadlock check, and reports.
#pragma once

#include <cstddef>

#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

void register_scheduler(scheduler& s);
void unregister_scheduler(scheduler& s) noexcept;

// Calls visit for each, with the registry locked: they can't go meanwhile.
void for_each_scheduler(void (*visit)(scheduler& s, void* argument), void* argument);

// Without the lock, for reports: whoever holds it may never go on, or be what a signal handler has
// interrupted. They can't go meanwhile either.
void for_each_scheduler_unlocked(void (*visit)(scheduler& s, void* argument), void* argument);

}  // namespace weft::inline WEFT_ABI::detail
