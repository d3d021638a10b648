// The context switch: leaves one execution and enters another, with all that belongs to it.
//
// Why unsafe  after a switch the same lines of code may run on another OS thread. What belongs to
//             the execution travels with it: stack and callee-saved registers with the
//             floating-point control words (arch/jump.hpp), errno, and the C++ runtime's record of
//             exceptions being handled. The addresses of the last two are per thread and may not be
//             computed in code that switches: compilers keep them across. They are taken once for
//             each machine.
// Caller      a context is entered by one thread at a time, and only after the departed side has
//             been saved: whoever arrives calls arrived() first, before anything that could let
//             another thread enter the departed context.
// Looks       whoever wants to walk the stack of an execution that does not run takes a hold of it
//             first: nobody enters it, or frees it, until all holds are gone.
//
//               hold                                 whoever enters (or frees) it
//               holders + 1                          context = null
//               heavy fence                          light fence
//               context null? it runs: let go        holders != 0? wait for them to go
//               else walk, then holders - 1          enter
//
//             Of the two, one sees the other's store. A hold waits for nobody, so that it may be
//             taken in a signal handler; several may hold one execution at once.
// Order       pair switch.context: the arriving side releases it -> a hold acquires it: the
//             departed stack is visible.
//             pair switch.hold: letting go releases -> entering acquires: the look is over.
// Sanitizers  AddressSanitizer is told the bounds of the stack that is entered, and ThreadSanitizer
//             of the fiber, and of the two things that pass from fiber to fiber in caches without
//             an atomic that it sees: whoever ends releases its stack, whoever begins acquires it;
//             and see arch/atomic.hpp.
// Seen by     tests "switch: ...", "hold: ...", and the exception tests of the scheduler.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/fence.hpp"
#include "weft/arch/jump.hpp"
#include "weft/arch/sanitizer.hpp"
#include "weft/arch/stack.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// What __cxa_get_globals points at (Itanium C++ ABI, 2.2.2).
struct exception_globals {
  void* caught = nullptr;
  unsigned int uncaught = 0;
#if defined(__ARM_EABI_UNWINDER__)
  void* propagating = nullptr;
#endif
};

// Where the calling thread keeps them; fetched once for each machine.
struct thread_state {
  exception_globals* exceptions = nullptr;
  int* error_number = nullptr;
};
[[nodiscard]] thread_state thread_state_of_caller() noexcept;

// Some sanitizer is to be told of switches. One branch for all of them.
[[nodiscard]] inline bool switch_is_annotated() noexcept {
  return (reinterpret_cast<std::uintptr_t>(&__sanitizer_start_switch_fiber) |
          reinterpret_cast<std::uintptr_t>(&__tsan_switch_to_fiber)) != 0;
}

// One side of a switch: a fiber, or a machine's own thread.
struct execution {
  untold_atomic<void*> context{
      nullptr};  // where it stands; null while it runs, and before and after
  untold_atomic<std::uint32_t> holders{0};
  exception_globals exceptions;
  int error_number = 0;
  const void* stack_limit = nullptr;
  std::size_t stack_size = 0;
  void* fake_stack = nullptr;  // AddressSanitizer's
  void* tsan_fiber = nullptr;  // ThreadSanitizer's
};

// For a machine's own thread: finds the bounds of its stack and its sanitizer's handle.
void describe_own_thread(execution& self) noexcept;

// Prepares `e` to begin at `entry` on `s`. The entry's argument goes to arrived() first.
inline void prepare_entry(execution& e, const stack& s, stack_entry entry) noexcept {
  // Frames that were left without returning have left their red zones behind.
  if (WEFT_UNLIKELY(has_address_sanitizer())) __asan_unpoison_memory_region(s.limit, s.size());
  e.exceptions = {};
  e.error_number = 0;
  e.stack_limit = s.limit;
  e.stack_size = s.size();
  e.fake_stack = nullptr;
  if (WEFT_UNLIKELY(has_thread_sanitizer())) {
    tell_acquire(s.limit);
    e.tsan_fiber = __tsan_create_fiber(0);
  }
  e.context.store(prepare_jump(s.top, s.size(), entry), release);  // pairs: switch.context
}

void wait_for_holders(const execution& e) noexcept;

// Takes where `e` stands, and waits until nobody looks at it. The caller is the one that may enter
// it, or free it.
WEFT_ALWAYS_INLINE void* take_context(execution& e) noexcept {
  void* context = e.context.load(relaxed);  // relaxed: the caller's
  e.context.store(nullptr, relaxed);        // relaxed: ordered by the fence
  light_fence();
  if (WEFT_UNLIKELY(e.holders.load(acquire) != 0)) wait_for_holders(e);  // pairs: switch.hold
  return context;
}

// A look at an execution that may run or end at any moment, but not meanwhile.
class hold {
 public:
  explicit hold(execution& e) noexcept;
  ~hold() {
    if (context_ != nullptr) let_go();
  }
  hold(const hold&) = delete;
  hold& operator=(const hold&) = delete;

  // Where it stands; null: it runs, or has no stack.
  [[nodiscard]] const void* context() const noexcept { return context_; }

 private:
  void let_go() noexcept { e_.holders.fetch_sub(1, release); }  // pairs: switch.hold

  execution& e_;
  const void* context_;
};

// For an execution that has ended, from another one: nobody looks at it any more, and
// ThreadSanitizer's handle of it is given back.
inline void forget_entry(execution& e) noexcept {
  static_cast<void>(take_context(e));
  if (WEFT_UNLIKELY(has_thread_sanitizer()) && e.tsan_fiber != nullptr) {
    tell_release(e.stack_limit);
    __tsan_destroy_fiber(e.tsan_fiber);
    e.tsan_fiber = nullptr;
  }
}

void annotate_departure(execution& from, const execution& to, bool from_ends) noexcept;
void annotate_arrival(execution& self) noexcept;

// Leaves `from` for `to`. Returns what arrived() wants, when somebody comes back to `from`.
WEFT_ALWAYS_INLINE transfer_t leave_for(execution& from, execution& to, const thread_state& thread,
                                        bool from_ends = false) noexcept {
  void* there = take_context(to);
  from.exceptions = *thread.exceptions;
  from.error_number = *thread.error_number;
  if (WEFT_UNLIKELY(switch_is_annotated())) annotate_departure(from, to, from_ends);
  return jump(there, &from);
}

// The first thing on the side that was entered: saves where the other side stands. `thread` is the
// one that runs `self` now.
inline void arrived(const transfer_t& t, execution& self, const thread_state& thread) noexcept {
  static_cast<execution*>(t.data)->context.store(t.fctx, release);  // pairs: switch.context
  *thread.exceptions = self.exceptions;
  *thread.error_number = self.error_number;
  if (WEFT_UNLIKELY(switch_is_annotated())) annotate_arrival(self);
}

}  // namespace weft::inline WEFT_ABI::detail
