// The machine: an OS thread that runs fibers while it holds a processor.
//
// Model       Its own stack runs the scheduling loop (src/sched/schedule.cpp). It enters a fiber by
//             a switch; fibers switch to one another directly, or back to the loop. What must
//             happen after a switch, on the far side, is the departure: the park commit, and what
//             becomes of the departed fiber.
// Owner       the thread itself, but for: attention (take_away.hpp), `note` and `handed` (whoever
//             wakes it, which must have taken it off the idle list or be the scheduler of its
//             pinned fiber).
#pragma once

#include <cstdint>

#include "weft/arch/note.hpp"
#include "weft/arch/switch.hpp"
#include "weft/arch/thread.hpp"
#include "weft/arch/tls.hpp"
#include "weft/base/random.hpp"
#include "weft/sched/fiber.hpp"
#include "weft/sched/processor.hpp"

namespace weft::inline WEFT_ABI::detail {

struct machine : machine_words {
  explicit machine(scheduler& s, std::uint32_t number) noexcept : home(&s), id(number) {}

  scheduler* const home;
  const std::uint32_t id;  // 1, 2, …; part of a processor's status
  processor* p = nullptr;
  processor* lent = nullptr;  // while in blocking(f): p again at its end, if nobody has taken it
  thread_state thread;
  execution loop;  // the scheduling loop on the thread's own stack

  // What the far side of the switch under way has to do.
  wait_state::commit commit = nullptr;
  void* commit_argument = nullptr;
  fiber* ended = nullptr;  // its stack and record are free now

  // A call that a fiber wants to have run on this thread's own stack.
  void (*system_call)(void*) = nullptr;
  void* system_argument = nullptr;
  bool on_system_stack = false;

  bool is_spinning = false;
  bool is_hog = false;      // runs a fiber without a processor; counted in scheduler::hogs_
  fiber* pinned = nullptr;  // runs this fiber only

  // Waking up.
  note wake;
  processor* handed = nullptr;    // to be taken on waking
  fiber* handed_fiber = nullptr;  // its pinned fiber, to be run on waking
  bool handed_spinning = false;
  machine* next_idle = nullptr;     // scheduler lock
  machine* next_machine = nullptr;  // list of all; never changes once visible
  atomic<bool> sleeps_pinned{false};
  // Its brackets have full fences; see take_away.cpp.
  atomic<bool> passes_full_fences{false};
  atomic<bool> is_launched{false};  // `os` is complete: it may be joined
  atomic<bool> has_ended{false};
  bool is_listed = false;
  os_thread os;
  atomic<int> thread_id{0};  // once it runs
  random_source random;

  // sysmon's own: see stalls.hpp.
  std::uint32_t stall_question = 0;
  std::int64_t stall_since = 0;
  bool stall_told = false;
};

[[nodiscard]] WEFT_ALWAYS_INLINE machine* current_machine() noexcept {
  return static_cast<machine*>(this_machine());
}

}  // namespace weft::inline WEFT_ABI::detail
