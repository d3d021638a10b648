// The scheduler: one runtime's processors, machines, global queue and idle lists.
//
// Model       G, M and P as in Go's runtime/proc.go: fibers, machines, processors. A machine needs
//             a processor to run fibers. Work is looked for in the order that find_runnable reads
//             (src/sched/schedule.cpp): the processor's own queue, the global queue, due timers,
//             the poller, other processors' queues.
// Waking      Who makes work visible then checks, behind a full fence, whether a processor is idle
//             and nobody is looking for work (spinning), and only then wakes one machine. Who stops
//             looking gives up its processor and its spinning mark first and looks at every queue
//             once more, behind a full fence. One of the two sees the other's store:
//
//               submitter                            machine going idle
//               push the fiber                       processor to the idle list, spinning - 1
//               full fence                           full fence
//               idle processor and nobody spins?     any queue not empty?
//               then wake one                        then take a processor back
//
//             At most half as many machines spin as are busy. A woken machine spins; when it finds
//             work and was the last to spin, it wakes another. A waker counts as spinning until
//             whom it wakes does; where it finds nobody it takes its mark back under the lock, so
//             that who goes idle later sees the work that others left to that mark.
//             Without sysmon's help no wake-up is lost (model wake); what is deliberately not woken
//             for (wake policy, ready.cpp) and threads that the system refuses are left to it.
// Poller      one idle machine sits in the poller until the next timer is due; the others sleep on
//             their notes. Timers of a busy processor are looked at by its machine every 61st
//             choice, by idle machines and by sysmon.
// Locks       lock_, rank sched: the idle lists, the global queue, sleeping and waking machines;
//             some ten instructions. Never taken with a heap's lock wanted afterwards.
// Order       pair sched.wake: the two full fences above.
//             pair sched.idle: the number of idle processors; a hint without the lock, ordered by
//             the fences above where it matters.
//             pair sched.until: the poller stores until when it sleeps, then looks at the timers;
//             who arms a timer stores it, then looks how long the poller sleeps.
//             pair sched.polling: one machine at a time is in the poller.
//             pair sched.procs: the number grows after the processors were made.
//             pair sched.processors: made, then linked.
//             pair sched.pools: likewise.
//             pair sched.machines: linked and counted before they run, marked ended as the last
//             touch. pair sched.stopping: set under the lock; whoever sees it ends.
//             pair sched.unwinding: set while no machine runs.
//             pair sched.main: set by the thread in run(), seen by sysmon.
//             pair sched.hogs: counted before a processor is taken; the deadlock check adds up.
//             pair sched.blocking: counts calls of blocking(f), for the limit and the check.
//             pair sched.wakes: grows with each wake-up from outside; the check looks twice.
// Rejected    waking a machine for every fiber made ready: on this kind of machine a wake-up costs
//             its caller 7 to 12 us; what a waker that soon parks has readied is run by itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>

#include "weft/arch/atomic.hpp"
#include "weft/arch/note.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/arch/stack.hpp"
#include "weft/arch/thread.hpp"
#include "weft/sched/fiber.hpp"
#include "weft/sched/machine.hpp"
#include "weft/sched/poller.hpp"
#include "weft/sched/processor.hpp"

namespace weft::inline WEFT_ABI::detail {

class explorer;

enum class end_policy : unsigned char { abandon, wait, unwind };

struct scheduler_options {
  unsigned procs = 1;
  std::size_t stack_size = 256 * 1024;
  unsigned max_machines = 10'000;
  unsigned max_blocking = 512;
  std::uint64_t seed = 0;
  bool throws_on_deadlock = false;
  bool own_threads = true;  // false: run by run_once only (sched/embedded.hpp)
  end_policy at_end = end_policy::abandon;
  // Nobody but its own fibers can wake it: started by run(), not by an object that others hold.
  bool is_closed_world = false;
  unsigned trace_period_ms = 0;  // WEFT_SCHEDTRACE
  unsigned stall_limit_ms = 0;   // WEFT_STALLS; 0: stalls are not reported
  poller_factory make_poller = nullptr;
  void* owner = nullptr;  // the weft::runtime
  // Of a seeded run: chooses among the runnable fibers, at every runtime entry.
  explorer* chooser = nullptr;
};

class embedded_loop;
class sysmon;

class scheduler {
 public:
  static constexpr unsigned max_procs = 1024;
  static constexpr unsigned stack_classes = 32;

  // Starts sysmon; machines start with the first fiber. Without threads of its own neither. Throws
  // std::system_error, std::bad_alloc.
  explicit scheduler(const scheduler_options& options);
  // After stop() gave true.
  ~scheduler();
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;

  // By a plain thread: ends the fibers as `policy` says, then the machines. Waits for hogs and
  // blocking calls up to ten seconds. False: some run on, and were named; the scheduler must stay.
  [[nodiscard]] bool stop(end_policy policy);

  // The caller's: of its fiber or machine; else the only one running; throws std::logic_error.
  static scheduler& of_caller();
  static scheduler* of_caller_or_null() noexcept;

  [[nodiscard]] const scheduler_options& options() const noexcept { return options_; }
  [[nodiscard]] bool is_seeded() const noexcept { return options_.seed != 0; }
  // One machine that nobody takes a processor from: blocking(f) runs inline.
  [[nodiscard]] bool is_alone() const noexcept { return is_alone_; }
  // Null: it has threads of its own.
  [[nodiscard]] embedded_loop* loop() const noexcept { return loop_.get(); }
  [[nodiscard]] unsigned procs() const noexcept {
    return procs_.load(acquire);  // pairs: sched.procs
  }
  unsigned set_procs(unsigned n);
  [[nodiscard]] std::size_t num_fibers() const noexcept;

  // Now on the clock of its fibers.
  [[nodiscard]] std::int64_t now() const noexcept;
  // A clock that is read for free and late by some milliseconds at most; for reports.
  [[nodiscard]] std::int64_t coarse_now() const noexcept {
    const auto& clock = is_seeded() ? virtual_now_ : coarse_now_;
    return clock.load(relaxed);  // relaxed: only a number for reports
  }

  template <class F>
  void for_each_record(F&& visit) const;
  // True: `f` points to one of its records.
  [[nodiscard]] bool has_record(const fiber* f) const noexcept;

  // --- what its fibers do (switch_fiber.cpp, blocking.cpp) ---
  void park_current(wait_state* wait, wait_reason reason, wait_state::commit commit,
                    void* argument);
  // Behind everything runnable on its processor; without one, behind the global queue.
  void yield_current();
  [[noreturn]] void end_current() noexcept;
  void enter_blocking();
  void leave_blocking();
  void switch_for_call(machine& m, fiber& f, void (*call)(void*), void* argument);

  // --- making runnable (ready.cpp) ---
  // On the caller's processor; the caller is inside its bracket.
  void ready_local(machine& m, fiber* f) noexcept;
  void start_local(machine& m, fiber* f) noexcept;
  // By a thread that is no machine of ours.
  void ready_from_outside(fiber* f) noexcept;
  // From anywhere: to the global queue.
  void inject(fiber* f) noexcept;
  void inject(fiber_chain& fibers) noexcept;

  // --- records (spawn.cpp) ---
  fiber* new_record();
  void free_record(fiber* f) noexcept;
  // The fiber no longer counts in num_fibers. Idempotent.
  void count_ended(fiber& f) noexcept;

  // --- reports ---
  [[nodiscard]] bool is_quiescent() const noexcept;
  [[nodiscard]] int thread_count() const noexcept;
  [[nodiscard]] bool is_unwinding() const noexcept {
    return is_unwinding_.load(acquire);  // pairs: sched.unwinding
  }
  // Main is known from its start on, and has left when it has ended by exit_fiber.
  void set_main(fiber* f) noexcept {
    main_id_.store(f->id.load(relaxed), relaxed);  // relaxed: published by the next
    main_fiber_.store(f, release);                 // pairs: sched.main
  }
  // Somebody waits for fibers, so that it matters when none can run: main, those that main has left
  // by exit_fiber, or the end of the run for all of them.
  [[nodiscard]] bool is_waited_for() const noexcept;
  // For a deterministic run, in which nothing happens then.
  [[nodiscard]] bool is_between_main_and_end() const noexcept;
  void main_left() noexcept {
    main_left_.store(true, release);  // pairs: sched.main
  }
  [[nodiscard]] const std::string& deadlock_dump() const noexcept { return deadlock_dump_; }

 private:
  friend class sysmon;
  friend class embedded_loop;
  friend class stall_watch;
  friend class trimmer;
  friend void fiber_entry(transfer_t t);
  friend void safepoint_slow();
  friend void arm(timer_node& node, std::int64_t due);
  friend void answer_attention(machine& m) noexcept;
  friend std::uint32_t choose_below(std::uint32_t n) noexcept;
  friend new_fiber create_fiber(const callable_type& type, std::source_location where,
                                const fiber_attributes& attributes);
  friend std::int64_t watch_for_deadlock(scheduler& s, std::int64_t now) noexcept;
  friend void deadlock(scheduler& s) noexcept;
  friend struct machine_starter;
  friend class wait_state;

  // schedule.cpp
  void run_machine(machine& m);
  fiber* find_runnable(machine& m);
  fiber* next_local(processor& p) noexcept;
  void queue_started(processor& p) noexcept;
  fiber* look_around(processor& p) noexcept;
  fiber* take_global(processor& p) noexcept;
  fiber* steal_work(machine& m) noexcept;
  bool steal_from(processor& victim, processor& p, bool with_run_next, fiber*& out) noexcept;
  fiber* pick_seeded(machine& m) noexcept;
  [[nodiscard]] std::uint32_t choose_explored(processor& p, std::uint32_t n) noexcept;
  bool start_spinning(machine& m) noexcept;
  void stop_spinning(machine& m) noexcept;
  void drop_spinning(machine& m) noexcept;
  void run_fiber(machine& m, fiber* f);

  // switch_fiber.cpp
  void run_current(machine& m);
  void switch_to(machine& m, fiber& from, fiber* next, bool ends);
  fiber* pick_direct(machine& m) noexcept;
  void put_back(processor& p, fiber* f) noexcept;
  bool bind(machine& m, fiber* f, bool cached_only) noexcept;
  void finish_departure(machine& m) noexcept;
  fiber* end_and_continue(fiber* f) noexcept;
  [[noreturn]] void end_for(machine& m, fiber* f, fiber* next) noexcept;
  void reap(machine& m, fiber* f) noexcept;

  // ready.cpp
  void note_parking(machine& m, fiber& f) noexcept;
  void wake_for(machine& m, bool only_one) noexcept;
  void wake_one() noexcept;
  void break_poller() noexcept;

  // machines.cpp
  void hold(machine& m, processor& p) noexcept;
  void processor_was_taken(machine& m) noexcept { m.is_hog = true; }
  void hog_ends(machine& m) noexcept;
  [[nodiscard]] bool acquire_idle(machine& m) noexcept;
  processor* pop_idle_processor_locked(bool& wakes_sysmon) noexcept;
  void release_to_idle_locked(processor& p, woken_chain& woken) noexcept;
  void release_to_idle(processor& p) noexcept;
  void give_up_processor(machine& m) noexcept;
  void hand_off(processor& p) noexcept;
  static void in_transit(processor& p) noexcept;
  void retire(machine& m) noexcept;
  [[nodiscard]] bool has_visible_work() const noexcept;
  [[nodiscard]] std::int64_t earliest_timer() const noexcept;
  void go_idle(machine& m) noexcept;
  void sleep_in_poller() noexcept;
  std::int64_t publish_poll_deadline() noexcept;
  void end_poll() noexcept;
  void sleep_on_note(machine& m, std::int64_t deadline) noexcept;
  bool leave_idle_list(machine& m) noexcept;
  void take_handed(machine& m) noexcept;
  void armed(std::int64_t due) noexcept;
  machine* take_idle_machine() noexcept;
  void start_with(processor& p, machine* m, bool spinning) noexcept;
  machine* new_machine() noexcept;
  bool launch(machine& m) noexcept;
  void machine_main(machine& m) noexcept;
  void wait_for_pinned(machine& m) noexcept;
  void hand_to_pinned(machine& m, fiber* f) noexcept;
  void wake_sysmon() noexcept;
  void wake_sleeping_sysmon() noexcept;

  // procs.cpp
  void make_processors(unsigned n);
  void make_embedded();
  void free_processors() noexcept;
  void free_machines() noexcept;
  void change_procs(unsigned old, unsigned n);
  void drop_idle_beyond_locked(unsigned n) noexcept;
  void wait_for_turn();
  void end_turn() noexcept;

  // blocking.cpp
  [[nodiscard]] bool retake_from_blocking(processor& p, std::uint32_t seen) noexcept;
  void lend_processor(machine& m) noexcept;
  bool take_lent_back(machine& m) noexcept;
  void wait_for_blocking_slot();
  void blocking_slot_free() noexcept;

  // spawn.cpp
  void take_records(fiber_chain& out, std::size_t n);
  void add_slab();
  void free_slabs() noexcept;
  fiber* new_record_elsewhere();
  void give_records_back(processor& p) noexcept;
  static void count_created(processor& p) noexcept;
  void make_pool(std::size_t size);
  [[nodiscard]] static unsigned stack_class(std::size_t size) noexcept;
  stack_pool& pool_for(unsigned of_class) noexcept;
  stack take_stack(machine& m, std::size_t size) noexcept;
  void put_stack(machine& m, fiber* f) noexcept;
  void refuse_stack(fiber* f) noexcept;
  bool give_to_waiting(const stack& s, unsigned of_class) noexcept;
  stack take_idle_stack() noexcept;
  void serve_waiting_for_stack(unsigned of_class) noexcept;
  void serve_all_waiting_for_stacks() noexcept;
  void take_back_caches(processor& p) noexcept;
  void take_back_idle_stacks() noexcept;
  bool trim_stacks() noexcept;
  void report_if_out_of_stacks() noexcept;
  void report_if_waiting_for_stacks() noexcept;
  [[nodiscard]] std::size_t stacks_in_use() const noexcept;

  // ends.cpp, deadlock.cpp, reports.cpp
  [[nodiscard]] bool stop_machines(bool pinned_too, std::int64_t deadline) noexcept;
  void join_machines() noexcept;
  template <class Done>
  bool wait_until(std::int64_t deadline, Done done);
  void resume_machines() noexcept;
  [[nodiscard]] bool unwind_all(std::int64_t deadline);
  void abandon_all() noexcept;
  void name_machines_that_stay() noexcept;
  bool throw_in_main() noexcept;
  [[nodiscard]] std::string deadlock_text() const;
  [[nodiscard]] bool unwind_deadlock() noexcept;
  void seeded_idle(machine& m) noexcept;
  void schedtrace_line(std::int64_t since_start) const noexcept;

  const scheduler_options options_;
  const bool is_alone_;

  // Guarded by lock_.
  alignas(cache_line) mutable spinlock lock_;
  processor* idle_processors_ = nullptr;
  machine* idle_machines_ = nullptr;
  fiber_chain global_;
  // Runnable, but no stack was to be had, by class: see spawn.cpp.
  std::array<fiber_chain, stack_classes> no_stack_;
  std::size_t waiting_for_stack_ = 0;
  wait_list procs_waiters_;     // set_procs, until excess_ is 0
  wait_list turn_waiters_;      // set_procs, until another one has returned
  atomic<unsigned> excess_{0};  // processors beyond procs_ that are not retired yet
  bool is_changing_procs_ = false;
  bool sysmon_sleeps_ = false;
  bool poller_sleeps_ = false;
  bool poller_broken_ = false;  // and is about to wake

  // Read often, written when machines come and go.
  alignas(cache_line) untold_atomic<unsigned> procs_{0};
  atomic<unsigned> made_{0};
  untold_atomic<bool> is_stopping_{false};
  untold_atomic<bool> is_unwinding_{false};
  atomic<bool> has_waiting_for_stack_{false};
  std::array<atomic<processor*>, max_procs> processors_{};

  // The words of the wake protocol.
  alignas(cache_line) atomic<std::size_t> global_size_{0};
  atomic<unsigned> idle_count_{0};
  atomic<int> spinning_{0};
  atomic<bool> polling_{false};             // a machine is in the poller, or about to be
  atomic<std::int64_t> poll_until_{never};  // and sleeps until then

  alignas(cache_line) atomic<std::int64_t> coarse_now_{0};
  atomic<std::uint64_t> wakes_{0};  // fibers made runnable by others than its own machines
  atomic<int> hogs_{0};             // machines that run a fiber without a processor
  atomic<unsigned> asleep_{0};      // machines that sleep, the one in the poller included
  // num_fibers: created or ended without a processor
  atomic<std::uint64_t> foreign_created_{0};
  atomic<std::uint64_t> foreign_ended_{0};

  alignas(cache_line) atomic<int> in_blocking_{0};  // calls of blocking(f), waiting ones included
  spinlock blocking_lock_;
  wait_list blocking_waiters_;  // guarded by blocking_lock_
  int blocking_slots_ = 0;      // given to whoever is about to wait; guarded by blocking_lock_

  atomic<machine*> machines_{nullptr};       // all ever made
  atomic<machine*> spare_machine_{nullptr};  // the system refused its thread
  atomic<unsigned> machine_count_{0};
  atomic<int> foreign_readies_{0};     // other threads that are making a fiber runnable now
  atomic<unsigned> live_machines_{0};  // whose threads run
  // Of these, those that do not sleep until their pinned fiber runs. In one number, so that nought
  // means that none ran at that moment.
  atomic<unsigned> awake_machines_{0};

  std::unique_ptr<poller> poller_;
  std::unique_ptr<sysmon> sysmon_;
  std::unique_ptr<embedded_loop> loop_;
  stack_pool stacks_;
  std::array<atomic<stack_pool*>, stack_classes> other_stacks_{};  // by the power of two

  struct record_slab {
    record_slab* next;
    std::size_t bytes;
    std::size_t count;
    fiber* records;
  };
  atomic<record_slab*> slabs_{nullptr};
  spinlock slab_lock_;
  fiber_chain free_records_;  // guarded by slab_lock_, as the next
  std::size_t next_slab_bytes_ = 0;

  // Seeded runs: one machine.
  atomic<std::int64_t> virtual_now_{0};
  random_source seeded_random_;
  std::uint32_t entries_left_ = 1;  // of the slice

  struct deadlock_watch {
    std::int64_t since = 0;
    std::uint64_t wakes = 0;
    bool warned = false;
  };
  deadlock_watch watch_;  // sysmon only
  atomic<fiber*> main_fiber_{nullptr};
  atomic<std::uint64_t> main_id_{0};
  atomic<bool> waits_for_all_{false};
  atomic<bool> main_left_{false};
  std::string deadlock_dump_;
  bool left_after_unwinding_ = false;
  bool has_abandoned_ = false;
};

template <class F>
void scheduler::for_each_record(F&& visit) const {
  for (record_slab* s = slabs_.load(acquire); s != nullptr; s = s->next)  // pairs: sched.slabs
    for (std::size_t i = 0; i < s->count; ++i) visit(s->records[i]);
}

void fiber_entry(transfer_t t);

}  // namespace weft::inline WEFT_ABI::detail
