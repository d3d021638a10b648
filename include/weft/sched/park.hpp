// What the layers above the scheduler see of it: the safepoint, ready, and creating fibers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

#include "weft/arch/atomic.hpp"
#include "weft/arch/tls.hpp"

namespace weft::inline WEFT_ABI::detail {

class fiber;
class scheduler;

// The runtime side of a yield request, a lost processor or a pending exit; may switch, and may
// leave by forced unwinding.
void safepoint_slow();

// At the start of every operation that may park, before any lock is taken: one load and one
// predicted branch.
WEFT_ALWAYS_INLINE void safepoint() {
  machine_words* m = this_machine();
  // relaxed: a hint; the slow path reads it again in its bracket
  if (WEFT_UNLIKELY(m != nullptr && (m->attention.load(relaxed) & machine_words::attention_mask)))
    safepoint_slow();
}

// Unwinds the calling fiber; throws std::logic_error on a plain thread.
[[noreturn]] void exit_current();
// The calling fiber is being unwound: a catch (...) of the library has to rethrow.
[[nodiscard]] bool is_being_unwound() noexcept;

// The calling fiber; null on a plain thread.
[[nodiscard]] WEFT_ALWAYS_INLINE fiber* this_fiber_or_null() noexcept {
  const machine_words* m = this_machine();
  return m == nullptr ? nullptr : m->current();
}

// If `callable` is what the calling fiber runs: num_fibers does not count the fiber any more. All
// that is left for it is to wake its joiners, who shall find that it has ended.
void stop_counting(const void* callable) noexcept;

// Makes a parked fiber runnable; its wait must have been claimed by the caller. From any thread.
void ready(fiber* f) noexcept;

// The seam of choice: a number below n (n > 0) from the machine's generator, or from the seed of a
// deterministic run.
[[nodiscard]] std::uint32_t choose_below(std::uint32_t n) noexcept;

// How the runtime calls and destroys a callable that it stores without knowing its type.
struct callable_type {
  void (*invoke)(void* callable);
  void (*destroy)(void* callable) noexcept;
  std::size_t size;
  std::size_t align;
  std::string_view name;  // for dumps
};

struct fiber_attributes {
  const std::string* name = nullptr;
  std::size_t stack_size = 0;  // 0: the runtime's
  scheduler* home = nullptr;   // null: the caller's, or the only one running
  bool service = false;        // not counted as a user's fiber
};

// A new fiber, not yet visible: construct the callable at `callable`, then submit(), or discard()
// when the constructor throws. Throws std::bad_alloc, std::logic_error from a plain thread when
// there is not exactly one runtime, and std::invalid_argument for a stack of more than 1 GiB.
struct new_fiber {
  fiber* f;
  void* callable;
};
[[nodiscard]] new_fiber create_fiber(const callable_type& type, std::source_location where,
                                     const fiber_attributes& attributes = {});
void submit(fiber* f) noexcept;
void discard(fiber* f) noexcept;

template <class F>
constexpr std::string_view type_name() noexcept {
  return __PRETTY_FUNCTION__;
}

template <class F>
inline constexpr callable_type callable_type_of{
    [](void* callable) { (*static_cast<F*>(callable))(); },
    [](void* callable) noexcept { static_cast<F*>(callable)->~F(); },
    sizeof(F),
    alignof(F),
    type_name<F>(),
};

}  // namespace weft::inline WEFT_ABI::detail
