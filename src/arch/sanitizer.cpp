// Telling ThreadSanitizer of a hand-over, and giving it the occasion to run handlers.
#include "weft/arch/sanitizer.hpp"

#include <unistd.h>

namespace weft::inline WEFT_ABI::detail {

// An address is all that it wants of them.
void tell_release(const void* address) noexcept { __tsan_release(const_cast<void*>(address)); }
void tell_acquire(const void* address) noexcept { __tsan_acquire(const_cast<void*>(address)); }

void run_deferred_handlers() noexcept { static_cast<void>(::usleep(0)); }

}  // namespace weft::inline WEFT_ABI::detail
