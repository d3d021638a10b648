// The hook at which a fiber leaves its OS thread to others: for weft::check, which looks whether it
// holds a lock of the thread.
//
// Cost        without weft::check: a load of a word that nobody writes, and a branch never taken,
//             at each park, yield and end.
// Order       pair departure.hook: installed with release, called after an acquire.
#pragma once

#include "weft/arch/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class fiber;

enum class departure : unsigned char { park, yield, end };

// On the departing fiber's stack, inside its machine's bracket and perhaps with a lock of the
// runtime held: it may neither park nor throw.
using departure_hook = void (*)(fiber& f, departure how) noexcept;

extern atomic<departure_hook> current_departure_hook;

inline void set_departure_hook(departure_hook hook) noexcept {
  current_departure_hook.store(hook, release);  // pairs: departure.hook
}

WEFT_ALWAYS_INLINE void on_departure(fiber& f, departure how) noexcept {
  const departure_hook hook = current_departure_hook.load(acquire);  // pairs: departure.hook
  if (WEFT_UNLIKELY(hook != nullptr)) hook(f, how);
}

}  // namespace weft::inline WEFT_ABI::detail
