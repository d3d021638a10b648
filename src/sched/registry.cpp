// The list of all schedulers, and which of them a caller means.
//
// Order       pair registry.place: a scheduler is stored with release when it is complete, loaded
//             with acquire without the lock.
//             pair registry.readers: who reads without the lock counts itself, then looks; who
//             takes a scheduler out does so, then waits until nobody is counted. Both by seq_cst:
//             one of the two sees the other.
#include "weft/sched/registry.hpp"

#include <sched.h>

#include <algorithm>

#include "weft/base/error.hpp"
#include "weft/sched/misuse.hpp"
#include "weft/sched/take_away.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// A fixed table: a signal handler may read it.
constexpr std::size_t max_schedulers = 256;

spinlock registry_lock;
atomic<scheduler*> schedulers[max_schedulers];
atomic<int> readers{0};

struct reading {
  reading() noexcept { readers.fetch_add(1, seq_cst); }  // pairs: registry.readers
  ~reading() { readers.fetch_sub(1, seq_cst); }          // pairs: registry.readers
  reading(const reading&) = delete;
  reading& operator=(const reading&) = delete;
};

}  // namespace

void register_scheduler(scheduler& s) {
  lock_guard held(registry_lock);
  for (auto& place : schedulers) {
    if (place.load(relaxed) != nullptr) continue;  // relaxed: under the lock
    place.store(&s, release);                      // pairs: registry.place
    return;
  }
  throw_usage_error("weft::runtime: more than 256 runtimes at once");
}

void unregister_scheduler(scheduler& s) noexcept {
  if (is_forked_child()) return;  // its lock, and what is counted, may be other threads'
  {
    lock_guard held(registry_lock);
    for (auto& place : schedulers) {
      // relaxed: under the lock
      if (place.load(relaxed) == &s) place.store(nullptr, seq_cst);  // pairs: registry.readers
    }
  }
  while (readers.load(seq_cst) != 0) ::sched_yield();  // pairs: registry.readers
}

void for_each_scheduler(void (*visit)(scheduler& s, void* argument), void* argument) {
  lock_guard held(registry_lock);
  for_each_scheduler_unlocked(visit, argument);
}

void for_each_scheduler_unlocked(void (*visit)(scheduler& s, void* argument), void* argument) {
  const reading counted;
  for (auto& place : schedulers) {
    // pairs: registry.place, registry.readers
    if (scheduler* s = place.load(seq_cst)) visit(*s, argument);
  }
}

scheduler* scheduler::of_caller_or_null() noexcept {
  refuse_forked_child();
  if (machine* m = current_machine()) return m->home;
  scheduler* only = nullptr;
  std::size_t n = 0;
  lock_guard held(registry_lock);
  for (auto& place : schedulers) {
    if (scheduler* s = place.load(relaxed)) {  // relaxed: under the lock
      only = s;
      ++n;
    }
  }
  return n == 1 ? only : nullptr;
}

scheduler& scheduler::of_caller() {
  scheduler* s = of_caller_or_null();
  if (s == nullptr) {
    throw_usage_error(
        "weft: called from a plain thread, with no runtime running or more than one: use a "
        "weft::runtime object's own members");
  }
  return *s;
}

}  // namespace weft::inline WEFT_ABI::detail
