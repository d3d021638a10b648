// The one atomic type of the library: std::atomic without default orders and without operators.
//
// A forgotten order does not compile, and a reader sees at each site what is relied on. Every
// acquire, release and seq_cst site names its partner in a `pairs:` comment, every relaxed one
// its reason.
//
// Sanitizers  ThreadSanitizer sees the atomics of a program that is built with it, also where it
//             inlines ours, but not those in a library that is not. There (WEFT_BUILDING) each
//             acquire and release tells of itself: one predicted branch. Words that every switch
//             passes are of type untold_atomic; what they hand over, sched tells by the fiber:
//             ready() and free_record() release it, its arrival and its next creation acquire it.
#pragma once

#include <atomic>

#include "weft/arch/sanitizer.hpp"
#include "weft/base/config.hpp"

#if defined(WEFT_BUILDING) && !WEFT_TSAN
#define WEFT_TELLS_ATOMICS 1
#else
#define WEFT_TELLS_ATOMICS 0
#endif

namespace weft::inline WEFT_ABI::detail {

inline constexpr std::memory_order relaxed = std::memory_order_relaxed;
inline constexpr std::memory_order acquire = std::memory_order_acquire;
inline constexpr std::memory_order release = std::memory_order_release;
inline constexpr std::memory_order acq_rel = std::memory_order_acq_rel;
inline constexpr std::memory_order seq_cst = std::memory_order_seq_cst;

template <class T, bool IsTold = true>
class atomic {
 public:
  constexpr atomic() noexcept = default;
  constexpr explicit atomic(T value) noexcept : value_(value) {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  [[nodiscard]] T load(std::memory_order order) const noexcept {
    const T value = value_.load(order);
    has_read(order);
    return value;
  }
  void store(T value, std::memory_order order) noexcept {
    will_write(order);
    value_.store(value, order);
  }
  T exchange(T value, std::memory_order order) noexcept {
    will_write(order);
    const T before = value_.exchange(value, order);
    has_read(order);
    return before;
  }

  // Strong. `expected` receives the value found; a failed exchange is relaxed.
  [[nodiscard]] bool compare_exchange(T& expected, T desired, std::memory_order order) noexcept {
    return compare_exchange(expected, desired, order, std::memory_order_relaxed);
  }
  // Strong, with an order for the failed exchange too.
  [[nodiscard]] bool compare_exchange(T& expected, T desired, std::memory_order order,
                                      std::memory_order failed) noexcept {
    will_write(order);
    const bool done = value_.compare_exchange_strong(expected, desired, order, failed);
    has_read(done ? order : failed);
    return done;
  }

  T fetch_add(T n, std::memory_order order) noexcept {
    will_write(order);
    const T before = value_.fetch_add(n, order);
    has_read(order);
    return before;
  }
  T fetch_sub(T n, std::memory_order order) noexcept {
    will_write(order);
    const T before = value_.fetch_sub(n, order);
    has_read(order);
    return before;
  }
  T fetch_or(T bits, std::memory_order order) noexcept {
    will_write(order);
    const T before = value_.fetch_or(bits, order);
    has_read(order);
    return before;
  }
  T fetch_and(T bits, std::memory_order order) noexcept {
    will_write(order);
    const T before = value_.fetch_and(bits, order);
    has_read(order);
    return before;
  }

 private:
  static constexpr bool tells = IsTold && WEFT_TELLS_ATOMICS != 0;

  WEFT_ALWAYS_INLINE void has_read(std::memory_order order) const noexcept {
    if constexpr (tells) {
      if (order != relaxed && order != release && WEFT_UNLIKELY(has_thread_sanitizer()))
        tell_acquire(this);
    } else {
      static_cast<void>(order);
    }
  }
  WEFT_ALWAYS_INLINE void will_write(std::memory_order order) noexcept {
    if constexpr (tells) {
      if (order != relaxed && order != acquire && WEFT_UNLIKELY(has_thread_sanitizer()))
        tell_release(this);
    } else {
      static_cast<void>(order);
    }
  }

  std::atomic<T> value_{};
};

template <class T>
using untold_atomic = atomic<T, false>;

// Between plain and relaxed accesses of one thread: the compiler keeps their order.
inline void compiler_fence() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

// One step of a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#else
  compiler_fence();
#endif
}

}  // namespace weft::inline WEFT_ABI::detail
