// The list of what ages, and the rounds in which it does.
#include "weft/sched/aging.hpp"

#include <new>
#include <source_location>

#include "weft/arch/clock.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// Several runtimes share one list: what is asked by one is not asked by the next at once.
constexpr std::int64_t between_rounds = 900'000'000;

struct aging_list {
  spinlock lock;
  list<aged> things;  // guarded by lock, as the rest
  std::int64_t last_round = 0;
  std::uint64_t round = 0;
};
constinit aging_list all;

}  // namespace

// One look at everything in the list; what is enlisted meanwhile waits for the next.
class aging_round {
 public:
  void operator()() const noexcept {
    while (step()) {
    }
  }

 private:
  // False: all have been asked.
  static bool step() noexcept {
    void* taken = nullptr;
    aged::destroy_function destroy = nullptr;
    {
      lock_guard held(all.lock);
      aged* thing = all.things.front();
      if (thing == nullptr || thing->round_ == all.round) return false;
      thing->unlink();
      thing->round_ = all.round;
      taken = thing->kind_->take(*thing);
      destroy = thing->destroy_;
      // relaxed: as keeps_something says
      thing->is_listed_.store(false, relaxed);
      if (!thing->kind_->is_empty(*thing)) {
        thing->is_listed_.store(true, relaxed);  // relaxed: likewise
        all.things.push_back(*thing);
      }
    }
    if (taken != nullptr) destroy(taken);
    return true;
  }
};

void aged::enlist() noexcept {
  lock_guard held(all.lock);
  if (is_linked()) return;
  is_listed_.store(true, relaxed);  // relaxed: under the lock
  round_ = all.round;
  all.things.push_back(*this);
}

void aged::withdraw() noexcept {
  lock_guard held(all.lock);
  if (is_linked()) unlink();
}

bool age_unused(scheduler& s) noexcept {
  {
    lock_guard held(all.lock);
    if (all.things.empty()) return true;
    const std::int64_t now = monotonic_ns();
    if (now - all.last_round < between_rounds) return false;
    all.last_round = now;
    ++all.round;
  }
  try {
    fiber_attributes attributes;
    attributes.home = &s;
    attributes.service = true;
    const new_fiber made =
        create_fiber(callable_type_of<aging_round>, std::source_location::current(), attributes);
    ::new (made.callable) aging_round;
    submit(made.f);
  } catch (const std::bad_alloc&) {
    return false;  // in the next round, then
  }
  return false;
}

}  // namespace weft::inline WEFT_ABI::detail
