// The fiber: a record of some 300 bytes, which gets a stack when it first runs.
//
// Model       The record holds what the scheduler needs and the callable; records live in slabs
//             that are never given back while their scheduler lives, so that a stale pointer to one
//             still points to a record. A record is reused with a new id.
// States      who owns the stack and the plain fields of a fiber in each state:
//               free      its free list
//               fresh     the one that creates it (create_fiber .. submit)
//               runnable  whoever takes it out of a run queue; without a stack if it has not run
//               running   itself, on one machine
//               parked    nobody, until its wait is claimed: then the claimer, until ready()
//             `state` is for reports only; what moves a fiber on is the queue it is in and its
//             wait's claim.
// Invariants  I1 a fiber is in at most one queue; it is enqueued by whoever owns it
//                                                               (stress test "fiber I1")
// Order       pair fiber.extra: published with release by the owner -> reports acquire it.
// Callable    up to inline_size bytes in the record, else in a block of its own; it does not move.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/arch/stack.hpp"
#include "weft/arch/switch.hpp"
#include "weft/arch/tls.hpp"
#include "weft/arch/unwind.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/wait_reason.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

class bubble_state;
struct machine;
class scheduler;

enum class fiber_state : unsigned char { free, fresh, runnable, running, parked };

// What few fibers have: made when first needed, and kept with the record, as reports may look at
// it.
struct fiber_extra {
  explicit fiber_extra(fiber* f) noexcept;

  // For the record's next fiber.
  void reset() noexcept;

  spinlock lock;  // for name and labels, which dumps read
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  // Values of fiber_local, by its key; destroyed in reverse order of their making.
  struct local_value {
    std::uint64_t key;
    void* value;
    void (*destroy)(void*) noexcept;
  };
  std::vector<local_value> locals;
  unwind_request unwinding;
};

class fiber : public fiber_words {
 public:
  static constexpr std::size_t inline_size = 128;

  execution self;
  stack on;                    // empty: not bound yet
  fiber* next = nullptr;       // in a chain of fibers
  scheduler* home = nullptr;   // for ever
  wait_state* wait = nullptr;  // while parked
  machine* pinned_to = nullptr;

  // What reports read at any time stands in atomics; the owner writes.
  atomic<bubble_state*> bubble_{nullptr};        // null: outside of all; see sched/bubble.hpp
  atomic<durability> durably{durability::none};  // set while parked so
  untold_atomic<fiber_extra*> extra_{nullptr};
  atomic<std::int64_t> since{0};  // when it came into its state, coarsely
  atomic<fiber_state> state{fiber_state::free};
  atomic<wait_reason> reason{wait_reason::none};
  // How often in a row it has parked soon after making another runnable: the policy of ready.cpp.
  atomic<unsigned char> parks_after_ready{2};
  bool has_readied = false;     // since it last parked
  unsigned char unwoken = 0;    // counts the times that nobody was woken for it
  std::int64_t readied_at = 0;  // when it last made one runnable; 0: not timed
  atomic<bool> is_service{false};
  bool is_counted = false;  // in num_fibers
  bool exits = false;       // exit_fiber was called, or the run is being unwound
  atomic<bool> never_ran{true};
  atomic<bool> in_call{false};  // running, in blocking(f)
  atomic<unsigned char> pin_depth{0};
  bool meets_deadlock = false;    // its wait ends with deadlock_error
  unsigned char keeps_stack = 0;  // inside a destructor that parks: not unwound there
  std::uint32_t stack_size = 0;   // 0: the scheduler's default

  atomic<const callable_type*> type{nullptr};
  void* callable = nullptr;  // null: none, or destroyed
  struct {
    atomic<const char*> function{""};
    atomic<const char*> file{""};
    atomic<std::uint32_t> line{0};
  } created_at;
  alignas(std::max_align_t) std::byte storage[inline_size];

  // Null: nothing of the kind was ever needed. It stays with the record.
  [[nodiscard]] fiber_extra* extra() const noexcept {
    return extra_.load(acquire);  // pairs: fiber.extra
  }
  // Makes it if it is not there. Throws std::bad_alloc. Owner only.
  fiber_extra& more();

  [[nodiscard]] bubble_state* bubble() const noexcept {
    return bubble_.load(relaxed);  // relaxed: the owner's, or a report
  }
  void set_bubble(bubble_state* b) noexcept { bubble_.store(b, relaxed); }  // relaxed: likewise

  void set_state(fiber_state s) noexcept { state.store(s, relaxed); }  // relaxed: for reports
};

[[nodiscard]] inline const callable_type& type_of(const fiber& f) noexcept {
  return *f.type.load(relaxed);  // relaxed: set before the fiber became visible
}

using fiber_chain = chain<fiber, &fiber::next>;

}  // namespace weft::inline WEFT_ABI::detail
