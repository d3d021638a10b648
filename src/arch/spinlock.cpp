// The contended path of the spinlock.
#include "weft/arch/spinlock.hpp"

#include <sched.h>

namespace weft::inline WEFT_ABI::detail {

void spinlock::lock_slow() noexcept {
  constexpr int most_relaxes = 32;  // some 0.8 us
  constexpr int rounds_before_yield = 12;
  int relaxes = 1;
  for (int round = 0;; ++round) {
    if (round < rounds_before_yield) {
      for (int i = 0; i < relaxes; ++i) cpu_relax();
      if (relaxes < most_relaxes) relaxes *= 2;
    } else {
      ::sched_yield();
    }
    // relaxed: waits on a shared copy of the line; the exchange below decides
    // pairs: spinlock.word
    if (word_.load(relaxed) == 0 && word_.exchange(1, acquire) == 0) return;
  }
}

}  // namespace weft::inline WEFT_ABI::detail
