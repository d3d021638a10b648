// The contended path of the spinlock.
#include "weft/arch/spinlock.hpp"

#include <sched.h>

namespace weft::inline WEFT_ABI::detail {

void spinlock::lock_slow() noexcept {
  constexpr int spins_before_yield = 64;
  for (int spins = 0;; ++spins) {
    // relaxed: waits on a shared copy of the line; the exchange below decides
    // pairs: spinlock.word
    if (word_.load(relaxed) == 0 && word_.exchange(1, acquire) == 0) return;
    if (spins < spins_before_yield) {
      cpu_relax();
    } else {
      ::sched_yield();
    }
  }
}

}  // namespace weft::inline WEFT_ABI::detail
