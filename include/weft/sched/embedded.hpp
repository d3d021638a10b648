// A runtime without threads of its own: its only machine is the thread that calls run_once.
//
// Model       The scheduler has one processor and one machine, which belongs to nobody's thread.
//             Between two calls it is a machine that sleeps in the poller: the foreign loop does
//             the sleeping for it, on the poller's descriptor, in which an alarm stands for the
//             first timer. So whoever makes work visible from outside (another thread, another
//             runtime, this thread between two calls) breaks that sleep as it would any poller's,
//             and the descriptor becomes readable. A call is such a machine waking up, running
//             what is there, and going to sleep again:
//
//               asleep     the processor is idle, poller_sleeps_, poll_until_ is the first timer
//               awake      the calling thread is the machine; nobody needs to be woken
//
// A turn      polls, then runs fibers until none is runnable or turn_limit has passed. It ends at a
//             fiber switch only: fibers switch by way of the loop, so that each switch looks at the
//             clock. A fiber that does not switch keeps the foreign loop waiting; so does
//             blocking(f), which runs inline. There is no sysmon: nobody asks for a yield, nothing
//             is taken away, no deadlock is looked for. Where nothing was runnable, run_once waits
//             in the poller, until its caller's limit.
// Going to    the processor becomes idle and poller_sleeps_ is set under one lock, then, behind a
// sleep       full fence, every queue and timer is looked at once more. What is still there (the
//             turn was over) or came meanwhile breaks the sleep at once: the descriptor stays
//             readable as long as run_once has work. It may be readable once for nothing.
// Threads     one drives at a time. Another one that calls waits its turn, first come, first
//             served, for as long as its own limit allows. The loop is the caller's who was the
//             last to drive; before that the maker's. block_on drives on that thread and waits
//             plainly on any other. A fiber with a thread_pin ties the loop to its thread; nothing
//             keeps that thread from running other fibers, since it is the only one.
// End         the thread that stops drives what the policy still wants to run. Nobody may be
//             driving, and no pin may be another thread's.
// Misuse      std::logic_error: run_once and poll_fd of a runtime with threads of its own, run_once
//             from a fiber or from what the loop itself runs (it would nest on one thread), or
//             against a pin; shutdown while another thread drives. std::invalid_argument: run()
//             without threads, more than one processor, a seed (virtual time knows no foreign
//             loop).
// Exceptions  none leaves run_once but those of misuse: one that leaves a fiber ends the process or
//             goes to whoever joins, as everywhere.
// Locks       lock_: who drives and who waits for it; with no other lock. It also passes on what
//             the fibers have done, from one driver to the next.
// Rejected    a descriptor around the poller's: the poller's own epoll descriptor can be polled.
//             Refusing a second thread: the thread that drives and one in block_on meet by chance.
//             Running until nothing is runnable: two fibers that talk would stop the foreign loop.
#pragma once

#include <cstdint>

#include "weft/arch/altstack.hpp"
#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/machine.hpp"
#include "weft/sched/trimmer.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

class scheduler;

class embedded_loop {
 public:
  static constexpr std::int64_t turn_limit = 1'000'000;

  // The machine is the scheduler's. Throws std::system_error.
  embedded_loop(scheduler& s, machine& m);

  // Runs one turn; before it, waits until `until` for something to run. True: a fiber ran. Throws
  // std::logic_error.
  bool run_once(std::int64_t until);

  // Drives until `done(argument)`, if the loop is the caller's; false: it is not.
  bool run_until(bool (*done)(void* argument), void* argument);

  // By whoever is about to stop the scheduler. Throws std::logic_error. `runs`: fibers will have to
  // run for it.
  void check_may_stop(bool runs);
  // By the thread that stops it: the fibers get their turns until `until`.
  void let_pass(std::int64_t until);

  [[nodiscard]] int descriptor() const noexcept;

  // By a fiber that begins to be pinned, or is no longer.
  void pin() noexcept;
  void unpin() noexcept { --pins_; }

 private:
  class driver;

  [[nodiscard]] bool claim(std::int64_t until);
  void pass_on() noexcept;
  void check_pins();
  bool drive(std::int64_t until) noexcept;
  bool run_turn() noexcept;
  fiber* next_fiber() noexcept;
  std::int64_t fall_asleep() noexcept;
  void wake_up() noexcept;

  scheduler& s_;
  machine& m_;
  lent_alt_stack signals_;

  spinlock lock_;
  wait_list next_drivers_;           // guarded by lock_
  bool is_driven_ = false;           // guarded by lock_
  unsigned pins_ = 0;                // the driver's, as the two below
  const void* pinned_to_ = nullptr;  // a thread
  trimmer trimmer_{0};
  // Whose the loop is; what stands for a thread is where it keeps its errno.
  atomic<const void*> thread_;
};

}  // namespace weft::inline WEFT_ABI::detail
