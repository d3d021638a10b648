// Descriptors of weft's own, kept off the places of the standard streams.
//
// Why unsafe  a program may be started, or go on, with its standard streams closed. The next
//             descriptor gets such a place, and whatever is printed, a report of ours included,
//             goes into it: into an eventfd it would be a wake-up for ever.
// Seen by     test "faults: closed standard streams".
#pragma once

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// `fd`, or in its stead the same at a place above the standard streams; closes what it gives up.
// -1 with errno set: `fd` was -1, or there is none to be had.
[[nodiscard]] int above_standard_streams(int fd) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
