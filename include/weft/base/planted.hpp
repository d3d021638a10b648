// Bugs that a test plants into a build of its own, to see that exploration finds them.
//
// Every other build has none of them: the condition is a constant.
#pragma once

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

enum class planted_bug : unsigned char {
  none,
  lost_wake_up,        // a waiter of a mutex that queues again keeps the mark of the woken one
  double_delivery,     // what a parked select is handed goes into the buffer too
  wrong_select_claim,  // a parked select reports the case behind the one that fired
  missed_cancel,       // a context whose own waiters are woken does not cancel its children
  writer_starvation,   // readers pass a writer that waits
};

#ifdef WEFT_PLANTED_BUGS
extern planted_bug planted_now;
[[nodiscard]] inline bool is_planted(planted_bug bug) noexcept { return planted_now == bug; }
#else
[[nodiscard]] constexpr bool is_planted(planted_bug) noexcept { return false; }
#endif

}  // namespace weft::inline WEFT_ABI::detail
