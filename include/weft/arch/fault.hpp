// A seam through which tests make the n-th system call of a kind fail.
//
// Every call of arch that the system may refuse asks injected_fault() first. Without a hook, which
// is always so outside of tests, that is one load and one predicted branch beside a system call.
#pragma once

#include "weft/arch/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Gets the name of the call about to be made ("mmap", "pthread_create"). Returns the errno with
// which it shall seem to fail, or 0: make it. Counting is the hook's business; it may be called
// from several threads, and under locks, so it must neither block nor call weft.
using fault_hook = int (*)(const char* call) noexcept;

extern constinit atomic<fault_hook> current_fault_hook;

// Null: back to normal.
void set_fault_hook_for_testing(fault_hook hook) noexcept;

[[nodiscard]] inline int injected_fault(const char* call) noexcept {
  // relaxed: a test sets the hook before it starts the threads whose calls shall fail
  fault_hook hook = current_fault_hook.load(relaxed);
  return WEFT_UNLIKELY(hook != nullptr) ? hook(call) : 0;
}

}  // namespace weft::inline WEFT_ABI::detail
