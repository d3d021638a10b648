// What Valgrind wants to hear of: stacks that are not a thread's.
//
// Model       the requests of Valgrind's own header, where there is one when the library is built:
//             a few instructions that do nothing elsewhere. Without it Valgrind takes each switch
//             for an error of the program.
// Calls       that Valgrind may be too old to know (membarrier, process_madvise, epoll_pwait2) are
//             not tried under it: it tells the user of each, at length.
// Seen by     the package test "watched: valgrind".
#pragma once

#include "weft/base/config.hpp"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define WEFT_HAS_VALGRIND 1
#endif
#endif
#ifndef WEFT_HAS_VALGRIND
#define WEFT_HAS_VALGRIND 0
#endif

namespace weft::inline WEFT_ABI::detail {

#if WEFT_HAS_VALGRIND
[[nodiscard]] inline bool runs_on_valgrind() noexcept { return RUNNING_ON_VALGRIND != 0; }
// `last` is the highest byte. Gives what stack_is_gone wants.
[[nodiscard]] inline unsigned stack_is_there(const void* limit, const void* last) noexcept {
  return static_cast<unsigned>(VALGRIND_STACK_REGISTER(limit, last));
}
inline void stack_is_gone(unsigned id) noexcept { VALGRIND_STACK_DEREGISTER(id); }
#else
[[nodiscard]] inline bool runs_on_valgrind() noexcept { return false; }
[[nodiscard]] inline unsigned stack_is_there(const void*, const void*) noexcept { return 0; }
inline void stack_is_gone(unsigned) noexcept {}
#endif

}  // namespace weft::inline WEFT_ABI::detail
