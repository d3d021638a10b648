// A value that is only read, behind a slot that elsewhere carries values to be written.
//
// Why unsafe  the constness is lost. Whoever gets the slot is told beside it that the value is only
//             to be copied (waiter::copies, select_item::copies), and makes it const again first.
// Seen by     test "chan: a const value that is sent is copied and stays" and the sanitizers.
#pragma once

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

[[nodiscard]] inline void* slot_of_read_only(const void* value) noexcept {
  return const_cast<void*>(value);
}

}  // namespace weft::inline WEFT_ABI::detail
