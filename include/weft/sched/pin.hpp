// Pinning a fiber to its OS thread, and calls on the thread's own stack.
#pragma once

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Nests. The fiber stays on the machine that runs it, which runs nothing else. Nothing on a plain
// thread.
void pin_current();
void unpin_current() noexcept;

// Runs call(argument) on the OS thread's stack. It may not park, and lets no exception out.
void call_on_system_stack(void (*call)(void*), void* argument);
// The caller is inside such a call.
[[nodiscard]] bool is_on_system_stack() noexcept;

}  // namespace weft::inline WEFT_ABI::detail
