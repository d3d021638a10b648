// All schedulers of the process: for plain threads that name none, the deadlock check, and reports.
#pragma once

#include <cstddef>

#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

void register_scheduler(scheduler& s);
void unregister_scheduler(scheduler& s) noexcept;

// Calls visit for each, with the registry locked: they can't go meanwhile.
void for_each_scheduler(void (*visit)(scheduler& s, void* argument), void* argument);

// Without the lock: for fatal reports, when whoever holds it may never go on.
void for_each_scheduler_unlocked(void (*visit)(scheduler& s, void* argument),
                                 void* argument) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
