// The deadlock check: is there anything left in the process that could wake a fiber?
//
// Rule        a valid program is never ended. The report comes only for a runtime started by run(),
//             when no runtime of the process has anything to do or to wait for (fibers, hogs,
//             blocking calls, timers, descriptors), nothing outside can wake anybody (runtime
//             objects, signal subscriptions, child processes), and the process has no thread but
//             weft's own. With other threads: one warning with the dump after ten seconds.
// Twice       the verdict needs two looks, a while apart, between which nobody woke anybody.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class scheduler;

// Counted by whoever holds them: things outside all runtimes that may wake a fiber (a signal
// subscription, a child process), and threads of weft that no scheduler counts.
extern atomic<int> external_wakers;
extern atomic<int> service_threads;
// Threads that sit in run(), waiting for its end.
extern atomic<int> threads_in_run;

// By sysmon, when its runtime has been idle for a while. Returns until when sysmon may sleep.
[[nodiscard]] std::int64_t watch_for_deadlock(scheduler& s, std::int64_t now) noexcept;

// The verdict for a runtime where nothing can happen any more: ends the process with the report, or
// makes main throw, as its options say.
void deadlock(scheduler& s) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
