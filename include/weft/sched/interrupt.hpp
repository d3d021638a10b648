// Taking over the wake-up of a parked fiber: at the end of a run, and when main is told of a
// deadlock.
#pragma once

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class fiber;

// The caller knows that the fiber is parked and that no machine resumes it meanwhile. True: the
// caller owns its wake-up, and the fiber is off all its lists.
[[nodiscard]] bool interrupt(fiber& f) noexcept;

// By a fiber that has given way and runs again: leaves by forced unwinding if it is to end here.
void unwind_if_due();

}  // namespace weft::inline WEFT_ABI::detail
