// Ways into the runtime that can't work: each is looked for and ends the process with the reason.
//
// Found       a forked child    the mark of arch/process.hpp, at every way into weft
//             pthread_exit      unwinding that is not weft's reaches a fiber's first frame; so
//                               does a thread that is cancelled inside a fiber
//             a signal handler  a fiber that parks, yields or creates a fiber is not on its own
//                               stack: a handler on the alternate stack. Or the machine is in the
//                               runtime already: a handler that interrupted it there, or a user's
//                               move or destructor that the runtime called
// Not found   a handler without SA_ONSTACK that interrupts user code: it looks like a call of the
//             fiber's, and works like one.
#pragma once

#include "weft/arch/process.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class fiber;
struct machine;

[[noreturn]] WEFT_COLD void report_forked_child() noexcept;
[[noreturn]] WEFT_COLD void report_foreign_unwinding() noexcept;
[[noreturn]] WEFT_COLD void report_entry_from_handler() noexcept;
[[noreturn]] WEFT_COLD void report_nested_entry() noexcept;

inline void refuse_forked_child() noexcept {
  if (is_forked_child()) report_forked_child();
}

// The machine's fiber parks or yields, or starts another one.
void refuse_entry_from_handler(const machine& m, const fiber& f) noexcept;

// In a fiber's first frame: whoever unwinds through it must be weft.
struct unwinding_guard {
  unwinding_guard() noexcept = default;
  ~unwinding_guard();
  unwinding_guard(const unwinding_guard&) = delete;
  unwinding_guard& operator=(const unwinding_guard&) = delete;
};

// Has forks watched, and other copies of the library refused. Idempotent.
void watch_for_misuse() noexcept;

}  // namespace weft::inline WEFT_ABI::detail
