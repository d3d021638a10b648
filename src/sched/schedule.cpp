// The machine's loop: where the next fiber comes from.
#include "weft/arch/clock.hpp"
#include "weft/arch/fence.hpp"
#include "weft/sched/explorer.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/switch_fiber.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr int steal_rounds = 4;
constexpr std::int64_t coarse_step = 500'000;

}  // namespace

// The loop of every machine, on its own stack. In the runtime all the time but while a fiber runs.
void scheduler::run_machine(machine& m) {
  m.in_runtime.store(1, relaxed);  // relaxed: own word
  while (fiber* f = find_runnable(m)) {
    run_fiber(m, f);
    if (m.is_hog) hog_ends(m);
    if (m.pinned != nullptr) wait_for_pinned(m);
  }
}

// Blocks until there is a fiber to run; null: the machines shall end.
fiber* scheduler::find_runnable(machine& m) {
  for (;;) {
    if (is_stopping_.load(acquire)) return nullptr;  // pairs: sched.stopping
    if (m.p == nullptr && !acquire_idle(m)) {
      sleep_on_note(m, never);
      continue;
    }
    processor& p = *m.p;
    if (WEFT_UNLIKELY(p.id >= procs())) {
      retire(m);
      continue;
    }
    if (is_seeded()) {
      if (fiber* f = pick_seeded(m)) return f;
      continue;
    }
    if (p.is_time_to_look_around()) {
      if (fiber* f = look_around(p)) return f;
    }
    if (fiber* f = next_local(p)) return f;
    if (fiber* f = take_global(p)) return f;
    if (fiber* f = look_around(p)) return f;
    if (fiber* f = steal_work(m)) return f;
    go_idle(m);
  }
}

// What was started here and has not run gets its places behind what waits in the run queue: with a
// new slice it is old.
void scheduler::queue_started(processor& p) noexcept {
  constexpr std::uint32_t batch = spawn_deque<fiber>::capacity / 2;
  fiber* oldest[batch];
  while (const std::uint32_t n = p.started.take_oldest(oldest, batch)) {
    for (std::uint32_t i = 0; i < n; ++i) {
      if (!p.queue.push(oldest[i])) inject(oldest[i]);
    }
  }
}

// Due timers, the poller and the global queue, at most one of which has a fiber for us at once.
fiber* scheduler::look_around(processor& p) noexcept {
  const std::int64_t time = monotonic_ns();
  // Every park reads it: written rarely, its line stays in all caches. relaxed: for reports
  if (time - coarse_now_.load(relaxed) >= coarse_step) coarse_now_.store(time, relaxed);
  if (p.timers.next_due() <= time) p.timers.run_due(time);
  if (poller_->has_waiters() && !polling_.exchange(true, acquire)) {  // pairs: sched.polling
    poller_->wait(0);
    polling_.store(false, release);  // pairs: sched.polling
  }
  if (fiber* f = take_global(p)) {
    p.count_pick();
    return f;
  }
  // What has become due, else the usual order: the queue before run_next would let a fiber that has
  // yielded overtake the one it has just made.
  return next_local(p);
}

// A fair share of the global queue: one to run, the rest to the local queue.
fiber* scheduler::take_global(processor& p) noexcept {
  // relaxed: a hint; who sleeps re-checks behind a fence
  if (global_size_.load(relaxed) == 0) return nullptr;
  fiber* first = nullptr;
  bool more = false;
  {
    lock_guard held(lock_);
    std::size_t share = global_.size() / procs() + 1;
    if (share > p.queue.capacity / 2) share = p.queue.capacity / 2;
    first = global_.pop_front();
    for (; share > 1; --share) {
      fiber* f = global_.pop_front();
      if (f == nullptr) break;
      if (!p.queue.push(f)) {
        global_.push_front(f);
        break;
      }
    }
    global_size_.store(global_.size(), relaxed);  // relaxed: under the lock
    more = !global_.empty();
  }
  if (first != nullptr) p.slice.store(p.slice.load(relaxed) + 1, relaxed);  // relaxed: owner
  if (more) wake_one();
  return first;
}

// Looks at all others, in random order, some rounds; the last one takes a run_next too.
fiber* scheduler::steal_work(machine& m) noexcept {
  processor& p = *m.p;
  const unsigned n = made_.load(acquire);  // pairs: sched.processors
  if (n < 2 || !start_spinning(m)) return nullptr;
  for (int round = 0; round < steal_rounds; ++round) {
    const bool last = round == steal_rounds - 1;
    const unsigned start = m.random.below(n);
    for (unsigned i = 0; i < n; ++i) {
      processor* victim = processors_[(start + i) % n].load(acquire);  // pairs: sched.processors
      if (victim == nullptr || victim == &p) continue;
      fiber* f = nullptr;
      if (steal_from(*victim, p, last, f)) return f;
    }
    // relaxed: a hint
    if (global_size_.load(relaxed) != 0) {
      if (fiber* f = take_global(p)) return f;
    }
    for (int i = 0; i < 32 && !last; ++i) cpu_relax();
  }
  return nullptr;
}

bool scheduler::steal_from(processor& victim, processor& p, bool with_run_next,
                           fiber*& out) noexcept {
  if (victim.timers.next_due() != never) {
    const std::int64_t time = monotonic_ns();
    if (victim.timers.next_due() <= time && victim.timers.run_due(time) != 0) {
      out = next_local(p);
      if (out != nullptr) return true;
    }
  }
  fiber* taken[run_queue<fiber>::capacity / 2];
  std::uint32_t n = victim.queue.steal(taken, run_queue<fiber>::capacity / 2);
  if (n == 0) n = victim.started.take_oldest(taken, run_queue<fiber>::capacity / 2);
  if (n != 0) {
    // Ours is empty: there is room for what is not run at once.
    for (std::uint32_t i = 1; i < n; ++i) {
      if (!p.queue.push(taken[i])) inject(taken[i]);
    }
    out = taken[0];
    p.slice.store(p.slice.load(relaxed) + 1, relaxed);  // relaxed: owner
    return true;
  }
  // relaxed: a look that saves the exchange
  if (with_run_next && victim.run_next.load(relaxed) != nullptr) {
    out = victim.run_next.exchange(nullptr, acquire);  // pairs: processor.run_next
    if (out != nullptr) {
      p.slice.store(p.slice.load(relaxed) + 1, relaxed);  // relaxed: owner
      return true;
    }
  }
  return false;
}

// A deterministic run: one machine, one processor, virtual time; the seed chooses.
fiber* scheduler::pick_seeded(machine& m) noexcept {
  if (is_between_main_and_end()) {
    note nobody;
    static_cast<void>(nobody.wait_until(monotonic_ns() + 20'000));
    return nullptr;
  }
  processor& p = *m.p;
  for (;;) {
    const std::int64_t time = virtual_now_.load(relaxed);  // relaxed: one machine writes and reads
    if (p.timers.next_due() <= time) p.timers.run_due(time);
    while (fiber* f = take_global(p)) {
      if (!p.queue.push(f)) {
        inject(f);
        break;
      }
    }
    if (fiber* f = p.run_next.exchange(nullptr, acquire)) {  // pairs: processor.run_next
      if (!p.queue.push(f)) inject(f);
    }
    const std::uint32_t n = p.queue.size();
    if (n != 0) {
      const bool is_explored = options_.chooser != nullptr;
      for (std::uint32_t skip = is_explored ? choose_explored(p, n) : seeded_random_.below(n);
           skip != 0; --skip) {
        static_cast<void>(p.queue.push(p.queue.pop()));  // as many out as in: there is room
      }
      p.slice.store(p.slice.load(relaxed) + 1, relaxed);  // relaxed: owner
      entries_left_ = is_explored ? 1 : 1 + seeded_random_.below(100);
      return p.queue.pop();
    }
    const std::int64_t next = p.timers.next_due();
    if (next == never) {
      seeded_idle(m);
      return nullptr;
    }
    virtual_now_.store(next, relaxed);  // relaxed: one machine writes and reads
  }
}

std::uint32_t scheduler::choose_explored(processor& p, std::uint32_t n) noexcept {
  fiber* runnable[run_queue<fiber>::capacity];
  for (std::uint32_t i = 0; i < n; ++i) {
    runnable[i] = p.queue.pop();
    static_cast<void>(p.queue.push(runnable[i]));  // as many out as in: there is room
  }
  return static_cast<std::uint32_t>(options_.chooser->choose(runnable, n));
}

void pass_entry_slow() noexcept {
  machine* m = current_machine();
  if (m == nullptr || m->home->options().chooser == nullptr) return;
  const bool is_in_runtime = m->in_runtime.load(relaxed) != 0;  // relaxed: its own
  if (m->current() == nullptr || is_in_runtime || m->on_system_stack || m->lent != nullptr) return;
  m->home->yield_current();
}

bool scheduler::start_spinning(machine& m) noexcept {
  if (m.is_spinning) return true;
  const int busy = static_cast<int>(procs()) -
                   static_cast<int>(idle_count_.load(relaxed));  // relaxed: a bound, not a promise
  if (2 * spinning_.load(relaxed) >= busy) return false;         // relaxed: likewise
  m.is_spinning = true;
  spinning_.fetch_add(1, seq_cst);  // pairs: sched.wake
  return true;
}

// Work was found. The last one to stop wakes another, so that there is always somebody looking
// while there is work and a processor is idle.
void scheduler::stop_spinning(machine& m) noexcept {
  m.is_spinning = false;
  if (spinning_.fetch_sub(1, seq_cst) != 1) return;  // pairs: sched.wake
  full_fence();
  wake_one();
}

// Without having found work.
void scheduler::drop_spinning(machine& m) noexcept {
  if (!m.is_spinning) return;
  m.is_spinning = false;
  spinning_.fetch_sub(1, seq_cst);  // pairs: sched.wake
}

void scheduler::run_fiber(machine& m, fiber* f) {
  if (WEFT_UNLIKELY(f->pinned_to != nullptr && f->pinned_to != &m)) {
    hand_to_pinned(m, f);
    return;
  }
  if (!f->on && !bind(m, f, false)) {
    refuse_stack(f);
    return;
  }
  if (m.is_spinning) stop_spinning(m);
  m.set_current(f);
  f->set_state(fiber_state::running);
  run_current(m);
}

}  // namespace weft::inline WEFT_ABI::detail
