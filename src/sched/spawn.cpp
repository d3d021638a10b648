// Fibers: records, callables, and the first time they become runnable.
//
// Records     live in slabs that are kept as long as the scheduler, so that reports may look at any
//             record at any time. A processor keeps some; the rest is in the scheduler's list.
// Stacks      a processor keeps some; the rest is in the pools. Where the system refuses one, the
//             fiber waits in no_stack_. It gets its stack from whoever leaves one (put_stack) and
//             sees that somebody waits, or from sysmon: at every look it asks the system again,
//             and takes what idle processors have cached. So nothing is lost to a race between
//             the two. When nothing can run any more the process ends with a report.
// Order       pair sched.slabs: a slab is linked with release -> reports acquire it.
//             pair sched.ended: a fiber's end is counted with release -> num_fibers acquires it:
//             its creation is visible.
#include <functional>
#include <memory>
#include <new>
#include <utility>

#include "weft/arch/pages.hpp"
#include "weft/arch/report.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/bubble.hpp"
#include "weft/sched/misuse.hpp"
#include "weft/sched/reports.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::size_t first_slab_bytes = std::size_t{32} * 1024;
constexpr std::size_t largest_slab_bytes = std::size_t{2} << 20U;
constexpr std::size_t record_batch = 64;
constexpr std::uint64_t id_batch = 64;

// Unique in the process, over all runtimes.
atomic<std::uint64_t> last_id{0};

void* map_slab(std::size_t bytes) noexcept {
  void* memory = bytes < largest_slab_bytes ? map_pages(bytes) : map_records(bytes);
  if (memory != nullptr) register_leak_roots(memory, bytes);
  return memory;
}

void unmap_slab(void* memory, std::size_t bytes) noexcept {
  unregister_leak_roots(memory, bytes);
  if (bytes < largest_slab_bytes) {
    unmap_pages(memory, bytes);
  } else {
    unmap_records(memory, bytes);
  }
}

}  // namespace

fiber_extra::fiber_extra(fiber* f) noexcept
    : unwinding([](void* argument) noexcept { static_cast<fiber*>(argument)->home->end_current(); },
                [](void* argument) noexcept {
                  // Swallowed by a catch (...): begun again at the next runtime entry.
                  static_cast<void>(argument);
                  set_reason(*current_machine(), attention::exit);
                },
                f) {}

void fiber_extra::reset() noexcept {
  lock_guard held(lock);
  name.clear();
  labels.clear();
}

fiber_extra& fiber::more() {
  fiber_extra* e = extra();
  if (e == nullptr) {
    e = new fiber_extra(this);
    extra_.store(e, release);  // pairs: fiber.extra
  }
  return *e;
}

namespace {

// Name, and the labels of the fiber that creates it.
void inherit(fiber& f, const fiber_attributes& attributes) {
  if (attributes.name != nullptr && !attributes.name->empty()) {
    fiber_extra& e = f.more();
    lock_guard held(e.lock);
    e.name = *attributes.name;
  }
  const fiber* parent = this_fiber_or_null();
  const fiber_extra* inherited = parent == nullptr ? nullptr : parent->extra();
  if (inherited != nullptr && !inherited->labels.empty()) {
    fiber_extra& e = f.more();
    lock_guard held(e.lock);
    e.labels = inherited->labels;
  }
}

}  // namespace

// A batch of unused records, from the list or a new slab. Throws std::bad_alloc.
void scheduler::take_records(fiber_chain& out, std::size_t n) {
  lock_guard held(slab_lock_);
  for (; n != 0; --n) {
    if (free_records_.empty()) {
      if (!out.empty()) return;
      add_slab();
    }
    out.push_back(free_records_.pop_front());
  }
}

// Each slab is twice as large as the one before: a small runtime stays small and starts fast. The
// largest are in huge pages.
void scheduler::add_slab() {
  std::size_t bytes = next_slab_bytes_ != 0 ? next_slab_bytes_ : first_slab_bytes;
  void* memory = map_slab(bytes);
  while (memory == nullptr && bytes > first_slab_bytes) {
    bytes /= 2;
    memory = map_slab(bytes);
  }
  auto* slab = memory == nullptr ? nullptr : new (std::nothrow) record_slab;
  if (slab == nullptr) {
    if (memory != nullptr) unmap_slab(memory, bytes);
    throw std::bad_alloc();
  }
  next_slab_bytes_ = bytes < largest_slab_bytes ? bytes * 2 : bytes;
  slab->bytes = bytes;
  slab->count = bytes / sizeof(fiber);
  slab->records = static_cast<fiber*>(memory);
  for (std::size_t i = 0; i < slab->count; ++i) {
    auto* f = ::new (static_cast<void*>(slab->records + i)) fiber;
    f->home = this;
    free_records_.push_back(f);
  }
  slab->next = slabs_.load(relaxed);  // relaxed: under the lock
  slabs_.store(slab, release);        // pairs: sched.slabs
}

bool scheduler::has_record(const fiber* f) const noexcept {
  const std::less<const fiber*> below;
  for (record_slab* s = slabs_.load(acquire); s != nullptr; s = s->next)  // pairs: sched.slabs
    if (!below(f, s->records) && below(f, s->records + s->count)) return true;
  return false;
}

void scheduler::free_slabs() noexcept {
  record_slab* slab = slabs_.load(acquire);  // pairs: sched.slabs
  if (has_abandoned_ && has_leak_sanitizer()) {
    // What abandoned fibers own is no leak: the check has to find it by their records.
    static atomic<record_slab*> kept{nullptr};
    record_slab* last = slab;
    while (last->next != nullptr) last = last->next;
    last->next = kept.load(relaxed);                             // relaxed: exchanged below
    while (!kept.compare_exchange(last->next, slab, relaxed)) {  // relaxed: only for the check
    }
    return;
  }
  while (slab != nullptr) {
    record_slab* next = slab->next;
    for (std::size_t i = 0; i < slab->count; ++i) delete slab->records[i].extra();
    unmap_slab(slab->records, slab->bytes);
    delete slab;
    slab = next;
  }
}

fiber* scheduler::new_record() {
  machine* m = current_machine();
  if (m == nullptr || m->home != this) return new_record_elsewhere();
  const std::uint32_t outer = enter(*m);
  processor* p = m->p;
  fiber* f = p == nullptr ? nullptr : p->records.pop_front();
  if (WEFT_LIKELY(f != nullptr && p->next_id != p->id_end)) {
    f->id.store(++p->next_id, relaxed);  // relaxed: owner
    count_created(*p);
    leave(*m, outer);
    return f;
  }
  if (f != nullptr) p->records.push_front(f);
  bool refused = false;
  if (p != nullptr) {
    try {
      if (p->records.empty()) take_records(p->records, record_batch);
      p->next_id = last_id.fetch_add(id_batch, relaxed);  // relaxed: only unique
      p->id_end = p->next_id + id_batch;
      f = p->records.pop_front();
      f->id.store(++p->next_id, relaxed);  // relaxed: owner
      count_created(*p);
    } catch (const std::bad_alloc&) {
      refused = true;
    }
  }
  leave(*m, outer);
  if (refused) throw std::bad_alloc();
  return p != nullptr ? f : new_record_elsewhere();
}

fiber* scheduler::new_record_elsewhere() {
  fiber_chain one;
  take_records(one, 1);
  fiber* f = one.pop_front();
  f->id.store(last_id.fetch_add(1, relaxed) + 1, relaxed);  // relaxed: only unique
  foreign_created_.fetch_add(1, relaxed);                   // relaxed: visible with the fiber
  return f;
}

// Its stack is gone already.
void scheduler::free_record(fiber* f) noexcept {
  // Records are handed on in the processors' caches; see arch/atomic.hpp.
  if (WEFT_UNLIKELY(has_thread_sanitizer())) tell_release(&f->self);
  if (f->callable != nullptr && f->callable != static_cast<void*>(f->storage)) {
    ::operator delete(f->callable, std::align_val_t{type_of(*f).align});
  }
  f->callable = nullptr;
  if (fiber_extra* e = f->extra()) e->reset();
  count_ended(*f);
  if (bubble_state* b = f->bubble(); WEFT_UNLIKELY(b != nullptr)) {
    f->set_bubble(nullptr);
    b->fiber_ended(*f);
  }
  f->set_state(fiber_state::free);
  machine* m = current_machine();
  if (m != nullptr && m->home == this) {
    const std::uint32_t outer = enter(*m);
    if (processor* p = m->p) {
      p->records.push_front(f);
      if (p->records.size() > 4 * record_batch) give_records_back(*p);
      leave(*m, outer);
      return;
    }
    leave(*m, outer);
  }
  lock_guard held(slab_lock_);
  free_records_.push_front(f);
}

void scheduler::give_records_back(processor& p) noexcept {
  fiber_chain back;
  while (back.size() < 2 * record_batch) back.push_back(p.records.pop_front());
  lock_guard held(slab_lock_);
  free_records_.append(back);
}

void scheduler::count_created(processor& p) noexcept {
  p.created.store(p.created.load(relaxed) + 1, relaxed);  // relaxed: owner; visible with the fiber
}

void scheduler::count_ended(fiber& f) noexcept {
  if (!std::exchange(f.is_counted, false)) return;
  machine* m = current_machine();
  if (m != nullptr && m->home == this) {
    const std::uint32_t outer = enter(*m);
    processor* p = m->p;
    // relaxed: owner
    if (p != nullptr) p->ended.store(p->ended.load(relaxed) + 1, release);  // pairs: sched.ended
    leave(*m, outer);
    if (p != nullptr) return;
  }
  foreign_ended_.fetch_add(1, release);  // pairs: sched.ended
}

void stop_counting(const void* callable) noexcept {
  fiber* f = this_fiber_or_null();
  if (f != nullptr && f->callable == callable) f->home->count_ended(*f);
}

// The ends first: who is seen to have ended is then seen to have been created, so that the sum is
// never less than what was alive in between, and 0 means that nobody was.
std::size_t scheduler::num_fibers() const noexcept {
  std::uint64_t ended = foreign_ended_.load(acquire);  // pairs: sched.ended
  const unsigned n = made_.load(acquire);              // pairs: sched.processors
  for (unsigned i = 0; i < n; ++i) {
    if (const processor* p = processors_[i].load(acquire)) {  // pairs: sched.processors
      ended += p->ended.load(acquire);                        // pairs: sched.ended
    }
  }
  std::uint64_t created = foreign_created_.load(relaxed);  // relaxed: behind the acquires
  const unsigned now = made_.load(acquire);                // pairs: sched.processors
  for (unsigned i = 0; i < now; ++i) {
    if (const processor* p = processors_[i].load(acquire)) {  // pairs: sched.processors
      created += p->created.load(relaxed);                    // relaxed: behind the acquires
    }
  }
  return static_cast<std::size_t>(created - ended);
}

new_fiber create_fiber(const callable_type& type, std::source_location where,
                       const fiber_attributes& attributes) {
  refuse_forked_child();
  if (const fiber* parent = this_fiber_or_null())
    refuse_entry_from_handler(*current_machine(), *parent);
  if (attributes.stack_size > stack_pool::max_stack_size)
    throw_invalid_argument("weft::fiber_options: stack_size must be at most 1 GiB");
  scheduler& home = attributes.home != nullptr ? *attributes.home : scheduler::of_caller();
  fiber* f = home.new_record();
  if (WEFT_UNLIKELY(has_thread_sanitizer())) tell_acquire(&f->self);
  // relaxed, here and below: the owner's; reports read them as they are
  f->type.store(&type, relaxed);                                 // relaxed: likewise
  f->created_at.function.store(where.function_name(), relaxed);  // relaxed: likewise
  f->created_at.file.store(where.file_name(), relaxed);          // relaxed: likewise
  f->created_at.line.store(where.line(), relaxed);               // relaxed: likewise
  f->never_ran.store(true, relaxed);                             // relaxed: likewise
  f->pin_depth.store(0, relaxed);                                // relaxed: likewise
  f->exits = false;
  f->has_readied = false;
  f->unwoken = 0;
  f->readied_at = 0;
  f->is_service.store(attributes.service, relaxed);  // relaxed: likewise
  f->keeps_stack = 0;
  f->pinned_to = nullptr;
  f->stack_size = static_cast<std::uint32_t>(attributes.stack_size);
  f->parks_after_ready.store(2, relaxed);       // relaxed: a prediction
  f->since.store(home.coarse_now(), relaxed);   // relaxed: for reports
  f->reason.store(wait_reason::none, relaxed);  // relaxed: for reports
  f->is_counted = true;
  if (attributes.service) home.count_ended(*f);
  // relaxed: its own
  f->durably.store(durability::none, relaxed);
  if (const fiber* parent = this_fiber_or_null();
      parent != nullptr && WEFT_UNLIKELY(parent->bubble() != nullptr)) {
    f->set_bubble(parent->bubble());
    parent->bubble()->fiber_made();
  }
  try {
    if (attributes.stack_size != 0) home.make_pool(attributes.stack_size);
    f->callable = type.size <= fiber::inline_size && type.align <= alignof(std::max_align_t)
                      ? static_cast<void*>(f->storage)
                      : ::operator new(type.size, std::align_val_t{type.align});
    inherit(*f, attributes);
  } catch (...) {
    home.free_record(f);
    throw;
  }
  f->set_state(fiber_state::fresh);
  return {f, f->callable};
}

void discard(fiber* f) noexcept { f->home->free_record(f); }

// --- stacks ---

// Stacks of one class come from one pool: the default size is class 0, others are rounded up to a
// power of two of 16 KiB or more.
unsigned scheduler::stack_class(std::size_t size) noexcept {
  if (size == 0) return 0;
  unsigned power = 14;
  while ((std::size_t{1} << power) < size && power < stack_classes - 1) ++power;
  return power;
}

// Throws std::bad_alloc.
void scheduler::make_pool(std::size_t size) {
  const unsigned power = stack_class(size);
  atomic<stack_pool*>& place = other_stacks_[power];
  stack_pool* pool = place.load(acquire);  // pairs: sched.pools
  if (pool != nullptr) return;
  auto fresh = std::make_unique<stack_pool>(std::size_t{1} << power);
  // pairs: sched.pools
  if (place.compare_exchange(pool, fresh.get(), acq_rel)) static_cast<void>(fresh.release());
}

// There since the first fiber of that class was made.
stack_pool& scheduler::pool_for(unsigned of_class) noexcept {
  return of_class == 0 ? stacks_ : *other_stacks_[of_class].load(acquire);  // pairs: sched.pools
}

stack scheduler::take_stack(machine& m, std::size_t size) noexcept {
  processor* p = m.p;
  if (size != 0 || p == nullptr) return pool_for(stack_class(size)).allocate();
  std::size_t n = p->cached_stacks();
  if (n == 0) n = stacks_.allocate_batch(p->stacks.data(), processor::stack_cache / 4);
  if (n == 0) return {};
  p->set_cached_stacks(n - 1);
  return p->stacks[n - 1];
}

void scheduler::put_stack(machine& m, fiber* f) noexcept {
  const stack s = std::exchange(f->on, stack{});
  const unsigned of_class = stack_class(f->stack_size);
  // relaxed: a hint
  if (has_waiting_for_stack_.load(relaxed) && give_to_waiting(s, of_class)) return;
  processor* p = m.p;
  if (of_class != 0 || p == nullptr) {
    pool_for(of_class).release(s);
    return;
  }
  std::size_t n = p->cached_stacks();
  if (n == processor::stack_cache) {
    n /= 2;
    stacks_.release_batch(p->stacks.data() + n, processor::stack_cache / 2);
  }
  p->stacks[n] = s;
  p->set_cached_stacks(n + 1);
}

// No stack is to be had: the fiber waits for one.
void scheduler::refuse_stack(fiber* f) noexcept {
  const unsigned of_class = stack_class(f->stack_size);
  {
    lock_guard held(lock_);
    no_stack_[of_class].push_back(f);
    ++waiting_for_stack_;
    has_waiting_for_stack_.store(true, relaxed);  // relaxed: a hint, under the lock
  }
  serve_waiting_for_stack(of_class);
}

// What was left by somebody who did not see the waiting, what idle processors have cached, and what
// the system gives now.
void scheduler::serve_waiting_for_stack(unsigned of_class) noexcept {
  for (;;) {
    {
      lock_guard held(lock_);
      if (no_stack_[of_class].empty()) return;
    }
    stack s = pool_for(of_class).allocate();
    if (!s && of_class == 0) s = take_idle_stack();
    if (!s) return;
    if (!give_to_waiting(s, of_class)) pool_for(of_class).release(s);
  }
}

void scheduler::serve_all_waiting_for_stacks() noexcept {
  for (unsigned i = 0; i < stack_classes; ++i) serve_waiting_for_stack(i);
}

// Out of the cache of an idle processor.
stack scheduler::take_idle_stack() noexcept {
  lock_guard held(lock_);
  for (processor* p = idle_processors_; p != nullptr; p = p->next_idle) {
    const std::size_t n = p->cached_stacks();
    if (n == 0) continue;
    p->set_cached_stacks(n - 1);
    return p->stacks[n - 1];
  }
  return {};
}

bool scheduler::give_to_waiting(const stack& s, unsigned of_class) noexcept {
  fiber* f = nullptr;
  {
    lock_guard held(lock_);
    f = no_stack_[of_class].pop_front();
    if (f != nullptr && --waiting_for_stack_ == 0)
      has_waiting_for_stack_.store(false, relaxed);  // relaxed: a hint, under the lock
  }
  if (f == nullptr) return false;
  f->on = s;
  prepare_entry(f->self, s, fiber_entry);
  inject(f);
  return true;
}

// By set_procs: of a processor that is out of service.
void scheduler::take_back_caches(processor& p) noexcept {
  static_cast<void>(p.status.load(acquire));  // pairs: processor.status
  stacks_.release_batch(p.stacks.data(), p.cached_stacks());
  p.set_cached_stacks(0);
  {
    lock_guard held(slab_lock_);
    free_records_.append(p.records);
  }
}

// So that they are trimmed with the others.
void scheduler::take_back_idle_stacks() noexcept {
  lock_guard held(lock_);
  for (processor* p = idle_processors_; p != nullptr; p = p->next_idle) {
    stacks_.release_batch(p->stacks.data(), p->cached_stacks());
    p->set_cached_stacks(0);
  }
}

// Once in a while, by sysmon or who stands for it. True: no stack was wanted since the last time,
// and there is nothing more to give back.
bool scheduler::trim_stacks() noexcept {
  constexpr std::size_t kept_warm = 64;
  take_back_idle_stacks();
  bool rests = stacks_.trim_unused(kept_warm);
  for (const auto& place : other_stacks_) {
    // pairs: sched.pools
    if (stack_pool* pool = place.load(acquire)) rests = pool->trim_unused(kept_warm) && rests;
  }
  return rests;
}

// What fibers have, or had and have left to someone who is about to use it: exact when nothing
// runs.
std::size_t scheduler::stacks_in_use() const noexcept {
  std::size_t n = stacks_.in_use();
  for (const auto& place : other_stacks_) {
    if (const stack_pool* pool = place.load(acquire)) n += pool->in_use();  // pairs: sched.pools
  }
  for (unsigned i = 0; i < made_.load(acquire); ++i) {  // pairs: sched.processors
    // pairs: sched.processors
    if (const processor* p = processors_[i].load(acquire)) n -= p->cached_stacks();
  }
  return n;
}

// When nothing runs: if no fiber has a stack that it could leave, whoever wakes one.
void scheduler::report_if_out_of_stacks() noexcept {
  if (stacks_in_use() == 0) report_if_waiting_for_stacks();
}

// When nothing runs and nobody can wake a fiber.
void scheduler::report_if_waiting_for_stacks() noexcept {
  std::size_t waiting = 0;
  {
    lock_guard held(lock_);
    waiting = waiting_for_stack_;
  }
  if (waiting != 0)
    report_out_of_stacks(waiting, stacks_.last_refusal() == stack_refusal::map_limit);
}

}  // namespace weft::inline WEFT_ABI::detail
