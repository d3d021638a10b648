// sysmon: the thread without a processor that watches those that have one.
//
// Model       While anything runs it looks every millisecond (sooner when a timer of a busy
//             processor comes due or calls of blocking(f) hold up work), and does what nobody else
//             can:
//               - a fiber has had its processor for a whole slice while others wait: asks it to
//                 yield at its next runtime entry;
//               - it makes no entry: takes the processor away (take_away.hpp), for another machine;
//               - a machine sits in blocking(f) while work waits: takes its processor;
//               - a fiber waits in run_next of a fiber that runs on, and a processor is idle: wakes
//                 a machine (the policy of ready.cpp);
//               - timers of a busy processor are due: runs them;
//               - the system had refused a stack or a thread: asks it again;
//               - stacks lie unused for a second: gives back their memory; what else is kept for
//                 reuse gets older (aging.hpp);
//               - nothing runs any more: deadlock check, then sleep without a time limit, until a
//                 processor leaves the idle list (but until the stacks of what ran are given back).
// Slices      a fiber that waits for a timer, the poller or another thread was made ready into the
//             global queue or by a due timer: 1 ms. CPU-bound fibers among themselves: 10 ms.
// Order       pair sysmon.ends: set by stop(), seen by the thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/arch/note.hpp"
#include "weft/arch/thread.hpp"
#include "weft/sched/processor.hpp"
#include "weft/sched/stalls.hpp"
#include "weft/sched/trimmer.hpp"

namespace weft::inline WEFT_ABI::detail {

class scheduler;

class sysmon {
 public:
  explicit sysmon(scheduler& s) noexcept : s_(s), stalls_(s) {}

  [[nodiscard]] std::errc start() noexcept;
  // Ends the thread and waits for it.
  void stop() noexcept;
  // A processor left the idle list while it slept.
  void wake() noexcept { note_.wake(); }

 private:
  static void* thread(void* self) noexcept;
  void run() noexcept;
  void sleep(std::int64_t now) noexcept;
  void sleep_while_idle(std::int64_t now) noexcept;
  void look_at(processor& p, std::int64_t now) noexcept;
  void look_at_running(processor& p, std::int64_t now) noexcept;
  void look_at_blocking(processor& p, std::uint32_t status) noexcept;
  void look_at_timers(processor& p, std::int64_t now) noexcept;
  void watch_for_machines(bool no_machine, std::int64_t now) noexcept;
  [[nodiscard]] bool others_wait() const noexcept;
  [[nodiscard]] bool has_stuck_work() const noexcept;
  [[nodiscard]] bool nobody_polls() const noexcept;

  scheduler& s_;
  note note_;
  os_thread os_;
  stall_watch stalls_;
  std::int64_t tick_ = 1'000'000;
  std::int64_t started_ = 0;
  std::int64_t next_trace_ = 0;
  trimmer trimmer_{0};
  std::int64_t no_machine_since_ = 0;
  int idle_looks_ = 0;
  bool blocking_waits_ = false;
  atomic<bool> ends_{false};
};

}  // namespace weft::inline WEFT_ABI::detail
