// The thread-local behind this_machine().
#include "weft/arch/tls.hpp"

thread_local constinit weft::detail::machine_words* weft_this_machine = nullptr;

namespace weft::inline WEFT_ABI::detail {

#if !(defined(__x86_64__) && !defined(__ILP32__)) && !defined(__aarch64__)
WEFT_NOINLINE machine_words* this_machine() noexcept {
  asm volatile("" ::: "memory");
  return weft_this_machine;
}
#endif

WEFT_NOINLINE void set_this_machine(machine_words* m) noexcept { weft_this_machine = m; }

}  // namespace weft::inline WEFT_ABI::detail
