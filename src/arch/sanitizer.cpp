// Telling ThreadSanitizer of a hand-over.
#include "weft/arch/sanitizer.hpp"

namespace weft::inline WEFT_ABI::detail {

// An address is all that it wants of them.
void tell_release(const void* address) noexcept { __tsan_release(const_cast<void*>(address)); }
void tell_acquire(const void* address) noexcept { __tsan_acquire(const_cast<void*>(address)); }

}  // namespace weft::inline WEFT_ABI::detail
