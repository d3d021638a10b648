// How many processors there are: setting up, and changing it while running.
//
// Shrinking   processors beyond the new number are taken out one by one: an idle one at once, a
//             held one when its machine next chooses a fiber (it is asked to yield), a hog's or a
//             blocking call's by sysmon. set_procs waits until the last is out of service, and
//             gives back what they had cached. Their timers stay where they are: sysmon and
//             thieves look at every processor that was ever made.
// Order       pair sched.procs, sched.processors: a processor is made and linked with release
//             before the numbers that let others look at it.
#include <algorithm>
#include <new>

#include "weft/arch/clock.hpp"
#include "weft/arch/fence.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/embedded.hpp"
#include "weft/sched/misuse.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/sysmon.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

scheduler::scheduler(const scheduler_options& options)
    : options_(options),
      is_alone_(options.seed != 0 || !options.own_threads),
      stacks_(options.stack_size),
      seeded_random_(options.seed) {
  refuse_forked_child();
  prepare_fences();
  poller_ = options.make_poller();
  sysmon_ = std::make_unique<sysmon>(*this);
  coarse_now_.store(monotonic_ns(), relaxed);  // relaxed: nobody else is there yet
  register_scheduler(*this);
  try {
    make_processors(options.procs);
    for (unsigned i = options.procs; i != 0; --i) {
      woken_chain nobody;
      // relaxed: nobody else yet
      release_to_idle_locked(*processors_[i - 1].load(relaxed), nobody);
    }
    if (!options.own_threads) {
      make_embedded();
    } else if (!is_seeded()) {
      const std::errc error = sysmon_->start();
      if (error != std::errc{})
        throw_system_error(std::make_error_code(error), "weft: sysmon thread");
    }
  } catch (...) {
    unregister_scheduler(*this);
    free_processors();
    free_machines();
    throw;
  }
}

// The machine of the threads that will call run_once.
void scheduler::make_embedded() {
  machine* m = new_machine();
  if (m == nullptr) throw std::bad_alloc();
  m->is_listed = true;
  machines_.store(m, release);  // pairs: sched.machines
  loop_ = std::make_unique<embedded_loop>(*this, *m);
}

scheduler::~scheduler() {
  unregister_scheduler(*this);
  free_processors();
  free_slabs();
  for (auto& place : other_stacks_) delete place.load(relaxed);  // relaxed: nobody else is there
  free_machines();
}

void scheduler::free_machines() noexcept {
  machine* m = machines_.load(relaxed);  // relaxed: nobody else is there
  while (m != nullptr) delete std::exchange(m, m->next_machine);
}

// Up to n of them exist afterwards. Throws std::bad_alloc; those made so far stay.
void scheduler::make_processors(unsigned n) {
  for (unsigned i = made_.load(relaxed); i < n; ++i) {  // relaxed: only set_procs makes them
    auto p = std::make_unique<processor>(i);
    p->random.seed((i + 1) * 0x9e3779b97f4a7c15U);
    p->status.store(processor::retired, relaxed);  // relaxed: published below
    processors_[i].store(p.release(), release);    // pairs: sched.processors
    made_.store(i + 1, release);                   // pairs: sched.processors
  }
  procs_.store(n, release);  // pairs: sched.procs
}

void scheduler::free_processors() noexcept {
  for (auto& place : processors_) {
    processor* p = place.load(relaxed);  // relaxed: nobody else is there
    if (p == nullptr) continue;
    stacks_.release_batch(p->stacks.data(), p->cached_stacks());
    delete p;
  }
}

unsigned scheduler::set_procs(unsigned n) {
  if (n == 0 || n > max_procs) throw_usage_error("weft::set_procs: the number must be 1 to 1024");
  if (is_seeded() && n != 1)
    throw_invalid_argument("weft::set_procs: a seeded run has one processor");
  if (loop_ != nullptr && n != 1)
    throw_invalid_argument("weft::set_procs: a runtime without own_threads has one processor");
  safepoint();
  wait_for_turn();
  const unsigned old = procs();
  try {
    change_procs(old, n);
  } catch (...) {
    end_turn();
    throw;
  }
  end_turn();
  return old;
}

void scheduler::change_procs(unsigned old, unsigned n) {
  if (n > old) {
    make_processors(n);
    woken_chain nobody;
    {
      lock_guard held(lock_);
      for (unsigned i = old; i < n; ++i) {
        release_to_idle_locked(*processors_[i].load(acquire), nobody);  // pairs: sched.processors
      }
    }
    full_fence();
    if (has_visible_work()) wake_one();
    return;
  }
  waiter place;
  wait_state wait(wait_state::kind::single, wait_reason::set_procs, &place, 1);
  place.guard = &lock_;
  lock_.lock();
  procs_.store(n, release);  // pairs: sched.procs
  drop_idle_beyond_locked(n);
  unsigned excess = 0;
  for (unsigned i = n; i < old; ++i) {
    processor* p = processors_[i].load(acquire);                  // pairs: sched.processors
    if (p->status.load(acquire) == processor::retired) continue;  // pairs: processor.status
    ++excess;
    // pairs: processor.status
    if (machine* m = p->holder.load(acquire)) set_reason(*m, attention::yield);
  }
  excess_.store(excess, release);  // pairs: sched.procs
  if (excess == 0) {
    lock_.unlock();
  } else {
    procs_waiters_.push_back(place);
    wait.park(lock_);
  }
  for (unsigned i = n; i < old; ++i) {
    take_back_caches(*processors_[i].load(acquire));  // pairs: sched.processors
  }
}

void scheduler::drop_idle_beyond_locked(unsigned n) noexcept {
  processor* all = std::exchange(idle_processors_, nullptr);
  while (all != nullptr) {
    processor* p = std::exchange(all, all->next_idle);
    if (p->id >= n) {
      p->status.store(processor::retired, release);  // pairs: processor.status
      idle_count_.fetch_sub(1, relaxed);             // relaxed: under the lock
    } else {
      p->next_idle = idle_processors_;
      idle_processors_ = p;
    }
  }
}

// One change at a time.
void scheduler::wait_for_turn() {
  for (;;) {
    waiter place;
    wait_state wait(wait_state::kind::single, wait_reason::set_procs, &place, 1);
    place.guard = &lock_;
    lock_.lock();
    if (!is_changing_procs_) {
      is_changing_procs_ = true;
      lock_.unlock();
      return;
    }
    turn_waiters_.push_back(place);
    wait.park(lock_);
  }
}

void scheduler::end_turn() noexcept {
  waiter* next = nullptr;
  {
    lock_guard held(lock_);
    is_changing_procs_ = false;
    next = pop_claimed(turn_waiters_);
  }
  if (next != nullptr) next->state->wake();
}

}  // namespace weft::inline WEFT_ABI::detail
