// What a process can do to a runtime behind its back: fork, and load the library twice.
//
// Fork        a child has one thread, the one that called fork, and a copy of locks and queues as
//             the others left them. Where a runtime was running, nothing of weft can work there:
//             the handler sets a mark, at which each way into weft looks. exec is unharmed.
//             The mark needs no order: the only thread of a new process writes it.
// Copies      each copy of the library puts a note into the module that it is linked into. When a
//             copy is loaded, and when its first runtime starts, all modules of the process are
//             searched for such notes: two copies would each take the process's fibers, signal
//             handlers and thread-locals for their own.
// Seen by     tests "fork: ..." and "copies: ...".
#pragma once

#include "weft/arch/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

extern constinit atomic<bool> forked_child;

// True in a child that was forked while a runtime was running.
[[nodiscard]] inline bool is_forked_child() noexcept {
  return WEFT_UNLIKELY(forked_child.load(relaxed));  // relaxed: see above
}

// From now on: in a child, `was_running` is asked, by its only thread; true marks the child.
// Idempotent.
void watch_forks(bool (*was_running)() noexcept) noexcept;

// Ends the process with a report if it holds two copies of weft.
void refuse_second_copy() noexcept;

// Where the caller's frame is, fake stacks of sanitizers apart.
[[nodiscard]] WEFT_ALWAYS_INLINE const void* frame_address() noexcept {
  return __builtin_frame_address(0);
}

}  // namespace weft::inline WEFT_ABI::detail
