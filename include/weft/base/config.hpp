// Version, the ABI namespace and the few compiler hints that the library uses.
#pragma once

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION "0.1.0"
// As one number, for comparisons in the preprocessor: 1.2.3 is 10203.
#define WEFT_VERSION_NUMBER \
  (WEFT_VERSION_MAJOR * 10000 + WEFT_VERSION_MINOR * 100 + WEFT_VERSION_PATCH)

// Whether weft's locks check how they are used (sync/lock_check.hpp). Set by the CMake option of
// this name, for the library and for all that is compiled against it.
#ifndef WEFT_CHECK_LOCKS
#define WEFT_CHECK_LOCKS 0
#endif

// Everything lives in `namespace weft::inline WEFT_ABI`. A build whose layout differs carries
// another name, so that mixed objects fail to link instead of corrupting memory.
#ifndef WEFT_ABI
#if WEFT_CHECK_LOCKS
#define WEFT_ABI v0_checked
#else
#define WEFT_ABI v0
#endif
#endif

#define WEFT_LIKELY(x) (__builtin_expect(static_cast<bool>(x), 1))
#define WEFT_UNLIKELY(x) (__builtin_expect(static_cast<bool>(x), 0))
#define WEFT_NOINLINE __attribute__((noinline))
#define WEFT_ALWAYS_INLINE inline __attribute__((always_inline))
#define WEFT_COLD __attribute__((noinline, cold))

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif
#ifndef WEFT_ASAN
#define WEFT_ASAN 0
#endif
#ifndef WEFT_TSAN
#define WEFT_TSAN 0
#endif

namespace weft::inline WEFT_ABI::detail {

// Fixed, not std::hardware_destructive_interference_size: that one may differ between
// translation units, and this one is part of the layout.
inline constexpr unsigned cache_line = 64;

}  // namespace weft::inline WEFT_ABI::detail
