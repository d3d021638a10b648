// One blocked operation of a task (a fiber or a plain thread), and its places in wait lists.
//
// Model       A blocking operation makes one wait_state on its own stack and one waiter for each
//             list in which it waits: a channel's receivers, a mutex's queue, a cancel_source. Who
//             can let it proceed takes a waiter off its list under that list's lock, claims the
//             state, delivers, and wakes the task.
//
//             A *single* wait stands in one list only. Being taken off the list is then the claim,
//             and the state word is not used. A *shared* wait may be claimed by several sources:
//
//               word      meaning                            who moves it on
//               arming    the task still runs, enrolling     owner: -> open, in the park commit
//                                                            a source without data (timer,
//                                                            cancellation): -> claimed(index)
//               open      parked                             any source: -> claimed(index)
//               claimed   fires no more; carries the index   nobody
//
// Invariants  I1 a wait is claimed at most once           (test "waiter I1")
//             I2 a claimer touches nothing of the wait after wake(), and nothing after a claim that
//                found `arming`            (stress test "waiter I2", also under the sanitizers)
//             I3 sources that deliver data hold a lock that the owner keeps until the word is open,
//                so they never see `arming`               (stress test "waiter I3")
// Park        publication is the park commit: it runs on the far side of the switch, moves arming
//             -> open and then releases the lists' locks. Nobody can resume a fiber that is still
//             on its stack. Where the commit finds the wait claimed already, it readies the fiber
//             itself.
// Ends        a wait that is abandoned or unwound at the end of a run is taken off all its lists by
//             detach(), so no list ever points to a dead stack.
// Order       pair waiter.word: the claim releases and acquires -> the owner acquires the word
//             after its park: what the source wrote before its claim is visible.
#pragma once

#include <cstdint>
#include <limits>

#include "weft/arch/atomic.hpp"
#include "weft/arch/note.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/sched/owner_mark.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/test_world.hpp"
#include "weft/sched/timer_heap.hpp"
#include "weft/sched/wait_reason.hpp"

namespace weft::inline WEFT_ABI::detail {

class bubble_state;
class fiber;
class wait_state;
class cancel_source;

// A place in one wait list.
struct waiter : list_node {
  wait_state* state = nullptr;
  spinlock* guard = nullptr;     // the lock of the list that it is in
  void* slot = nullptr;          // where the value goes to or comes from; the list's protocol says
  waiter* next_woken = nullptr;  // chains claimed waiters that one source wakes together
  std::uint32_t index = 0;       // reported by the wait when this place is the one that fired
  bool ok = false;               // set by the source before it wakes: a value was passed
  bool retry = false;            // set by the source: nothing happened, begin again
  bool copies = false;           // the value at `slot` is to be copied, not moved from
};

using wait_list = list<waiter>;
using woken_chain = chain<waiter, &waiter::next_woken>;

enum class claim : unsigned char {
  lost,     // another source has fired this wait
  running,  // won; the owner has not parked and will see it: touch nothing of it any more
  parked,   // won; deliver, then call wake() as the last touch
};

// How a fiber of a bubble is blocked; see sched/bubble.hpp.
enum class durability : unsigned char {
  none,     // something outside may end it, or it is in no bubble
  durable,  // only the bubble itself can
  adopted,  // the same, as far as is known
};

class wait_state {
 public:
  static constexpr std::uint32_t no_index = std::numeric_limits<std::uint32_t>::max();

  enum class kind : unsigned char { single, shared };

  // Captures the calling task. `places` are its waiters (they may be enrolled later).
  wait_state(kind k, wait_reason reason, waiter* places, std::uint32_t place_count) noexcept
      : fiber_(this_fiber_or_null()),
        places_(places),
        place_count_(place_count),
        kind_(k),
        reason_(reason),
        home_(may_be_durable(reason) ? any_bubble : no_bubble) {
    for (std::uint32_t i = 0; i < place_count; ++i) places[i].state = this;
  }
  wait_state(const wait_state&) = delete;
  wait_state& operator=(const wait_state&) = delete;

  [[nodiscard]] wait_reason reason() const noexcept { return reason_; }
  [[nodiscard]] bool is_fiber() const noexcept { return fiber_ != nullptr; }
  [[nodiscard]] bool is_single() const noexcept { return kind_ == kind::single; }
  // Fired already: its places are stale. The caller holds the lock of a list with a place of it.
  [[nodiscard]] bool is_claimed() const noexcept {
    // relaxed: the claim that matters is tried again
    return kind_ == kind::shared && word_.load(relaxed) >= claimed;
  }

  // By a source that holds the lock of the list where it found the waiter.
  [[nodiscard]] claim try_claim(std::uint32_t index) noexcept {
    if (kind_ == kind::single) return claim::parked;
    return try_claim_shared(index);
  }

  // After a claim that gave `parked`: makes the task runnable. The last touch of the wait.
  void wake() noexcept;

  // Blocks the calling task. The commit publishes the wait: it must release the locks that the
  // caller holds; it runs with the caller's stack still intact, must not block or throw, and reads
  // nothing of the wait after it has released the last lock. It is only a lock that keeps the
  // resumed task from going on before: a caller that holds none parks without a commit. Returns the
  // index that was claimed (no_index for a single wait). Leaves by forced unwinding where the run
  // is being unwound; the wait is off all its lists then.
  using commit = void (*)(void*) noexcept;
  std::uint32_t park(commit release_locks, void* argument);
  std::uint32_t park(spinlock& held);
  std::uint32_t park();

  // The index that was claimed, or no_index while there is none.
  [[nodiscard]] std::uint32_t claimed_index() const noexcept;

  // For reports: who is to end the wait. Before the park.
  void awaits(const owner_mark& owner) noexcept { awaited_ = &owner; }
  // Null: not known. Read by whoever holds the parked fiber.
  [[nodiscard]] const owner_mark* awaited() const noexcept { return awaited_; }

  // Something that may end the wait belongs to bubble `home`; before the park. Without a call the
  // reason alone tells whether the wait is durable.
  void meets(bubble_id home) noexcept {
    if (home_ == any_bubble) {
      home_ = home;
    } else if (home_ != home) {
      home_ = no_bubble;
    }
  }
  void meets(const bubble_use& use) noexcept {
    meets(use.home);
    is_adopted_ |= use.is_adopted;
  }
  // The bubble of the task that waits.
  [[nodiscard]] bubble_id bubble_of_task() const noexcept;

  // Takes a parked task's wake-up over from all sources; see interrupt.hpp.
  [[nodiscard]] bool take_over() noexcept;

  // Takes every place off its list (each under its lock) and disarms the timer. Idempotent.
  void detach() noexcept;

 protected:
  // Sources that a multi_wait adds: both may claim while the owner is still arming.
  timer_node* timer_ = nullptr;
  waiter* cancel_place_ = nullptr;
  std::int64_t deadline_ = std::numeric_limits<std::int64_t>::max();
  std::uint32_t timer_index_ = no_index;

 private:
  friend struct wait_commit;

  static constexpr std::uint32_t arming = 0;
  static constexpr std::uint32_t open = 1;
  static constexpr std::uint32_t claimed = 2;  // claimed + index

  [[nodiscard]] durability durability_in(const bubble_state& b) const noexcept;
  [[nodiscard]] claim try_claim_shared(std::uint32_t index) noexcept;
  [[nodiscard]] bool open_for_claims() noexcept;
  static void take_off(waiter& place) noexcept;
  std::uint32_t park_with(commit release_locks, void* argument);
  std::uint32_t park_thread(commit release_locks, void* argument);

  fiber* fiber_;
  waiter* places_;
  const owner_mark* awaited_ = nullptr;
  std::uint32_t place_count_;
  kind kind_;
  wait_reason reason_;
  bool is_adopted_ = false;
  bubble_id home_;  // what meets() has found so far
  atomic<std::uint32_t> word_{arming};
  note note_;  // a plain thread sleeps here
};

// A shared wait that may also end by a deadline or a cancellation. Arm first, then take the list's
// lock, enrol and park; if a source fires meanwhile, park returns at once.
class multi_wait : public wait_state {
 public:
  multi_wait(wait_reason reason, waiter* places, std::uint32_t place_count) noexcept
      : wait_state(kind::shared, reason, places, place_count) {}
  ~multi_wait() { detach(); }

  // Ends the wait with `index` at `deadline` (nanoseconds of the caller's clock; max: never). A
  // past deadline fires at once. May throw std::bad_alloc. On a plain thread nothing is armed: it
  // waits with a time-out of its own.
  void arm_deadline(std::int64_t deadline, std::uint32_t index);

  // Ends the wait with `index` when `source` fires. False: it has fired already, nothing is armed.
  [[nodiscard]] bool watch(cancel_source& source, std::uint32_t index) noexcept;

 private:
  static std::int64_t on_timer(timer_node& node, std::int64_t now) noexcept;

  struct wait_timer : timer_node {
    multi_wait* owner = nullptr;
  };
  wait_timer node_;
  waiter cancel_;
};

// Takes the first waiter off `waiters` whose claim succeeds, skipping those that another source has
// fired. Null: none. The caller holds the list's lock, and wakes the result after delivering.
[[nodiscard]] inline waiter* pop_claimed(wait_list& waiters) noexcept {
  while (waiter* w = waiters.pop_front()) {
    if (w->state->try_claim(w->index) == claim::parked) return w;
  }
  return nullptr;
}

// Drops the stale places at the front and tells whether a claim has somebody to find. The caller
// holds the list's lock.
[[nodiscard]] inline bool has_unclaimed(wait_list& waiters) noexcept {
  while (waiter* w = waiters.front()) {
    if (!w->state->is_claimed()) return true;
    w->unlink();
  }
  return false;
}

// Wakes everybody in `woken`. The caller holds no lock.
inline void wake_all(woken_chain& woken) noexcept {
  while (waiter* w = woken.pop_front()) w->state->wake();
}

// Wakes `first`, which may be null, and those chained behind it. The caller holds no lock.
inline void wake_chained(waiter* first) noexcept {
  while (first != nullptr) {
    waiter* next = first->next_woken;
    first->state->wake();
    first = next;
  }
}

}  // namespace weft::inline WEFT_ABI::detail
