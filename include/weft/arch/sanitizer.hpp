// What a program's sanitizers want to hear of, told by the ordinary library.
//
// Model       they are found through weak symbols, so that one library serves all programs: each is
//             there if the program has that sanitizer's runtime, else null. A look is one
//             comparison with memory, right from the first static constructor on.
// Threads     ThreadSanitizer sees neither the atomics nor the stacks of code that is not built
//             with it. The library tells it of every hand-over that it makes: see arch/atomic.hpp.
// Seen by     the package tests "sanitized: ...": consumers that are built with a sanitizer, while
//             the library is not.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack_save, const void* bottom, std::size_t size)
    __attribute__((weak));
void __sanitizer_finish_switch_fiber(void* fake_stack_save, const void** bottom_old,
                                     std::size_t* size_old) __attribute__((weak));
void __asan_handle_no_return() __attribute__((weak));
void __asan_unpoison_memory_region(void const volatile* address, std::size_t size)
    __attribute__((weak));
void* __asan_region_is_poisoned(void* begin, std::size_t size) __attribute__((weak));
void __lsan_register_root_region(const void* begin, std::size_t size) __attribute__((weak));
void __lsan_unregister_root_region(const void* begin, std::size_t size) __attribute__((weak));
void* __tsan_get_current_fiber() __attribute__((weak));
void* __tsan_create_fiber(unsigned flags) __attribute__((weak));
void __tsan_destroy_fiber(void* fiber) __attribute__((weak));
void __tsan_switch_to_fiber(void* fiber, unsigned flags) __attribute__((weak));
void __tsan_acquire(void* address) __attribute__((weak));
void __tsan_release(void* address) __attribute__((weak));
}

namespace weft::inline WEFT_ABI::detail {

[[nodiscard]] inline bool has_address_sanitizer() noexcept {
  return &__asan_unpoison_memory_region != nullptr;
}
[[nodiscard]] inline bool has_thread_sanitizer() noexcept { return &__tsan_release != nullptr; }
// ThreadSanitizer keeps a signal's handler back until its thread makes a call that it intercepts,
// which a sleep in a plain system call is not: who sleeps so does this now and then.
void run_deferred_handlers() noexcept;
// With AddressSanitizer, or alone.
[[nodiscard]] inline bool has_leak_sanitizer() noexcept {
  return &__lsan_register_root_region != nullptr;
}

// Only with ThreadSanitizer: what the caller has done is visible to whoever calls tell_acquire with
// the same address later.
WEFT_COLD void tell_release(const void* address) noexcept;
WEFT_COLD void tell_acquire(const void* address) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
