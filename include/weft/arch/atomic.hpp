// The one atomic type of the library: std::atomic without default orders and without operators.
//
// A forgotten order does not compile, and a reader sees at each site what is relied on. Every
// acquire, release and seq_cst site names its partner in a `pairs:` comment, every relaxed one
// its reason.
#pragma once

#include <atomic>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

inline constexpr std::memory_order relaxed = std::memory_order_relaxed;
inline constexpr std::memory_order acquire = std::memory_order_acquire;
inline constexpr std::memory_order release = std::memory_order_release;
inline constexpr std::memory_order acq_rel = std::memory_order_acq_rel;
inline constexpr std::memory_order seq_cst = std::memory_order_seq_cst;

template <class T>
class atomic {
 public:
  constexpr atomic() noexcept = default;
  constexpr explicit atomic(T value) noexcept : value_(value) {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  [[nodiscard]] T load(std::memory_order order) const noexcept { return value_.load(order); }
  void store(T value, std::memory_order order) noexcept { value_.store(value, order); }
  T exchange(T value, std::memory_order order) noexcept { return value_.exchange(value, order); }

  // Strong. `expected` receives the value found; a failed exchange is relaxed.
  [[nodiscard]] bool compare_exchange(T& expected, T desired, std::memory_order order) noexcept {
    return value_.compare_exchange_strong(expected, desired, order, std::memory_order_relaxed);
  }
  // Strong, with an order for the failed exchange too.
  [[nodiscard]] bool compare_exchange(T& expected, T desired, std::memory_order order,
                                      std::memory_order failed) noexcept {
    return value_.compare_exchange_strong(expected, desired, order, failed);
  }

  T fetch_add(T n, std::memory_order order) noexcept { return value_.fetch_add(n, order); }
  T fetch_sub(T n, std::memory_order order) noexcept { return value_.fetch_sub(n, order); }
  T fetch_or(T bits, std::memory_order order) noexcept { return value_.fetch_or(bits, order); }
  T fetch_and(T bits, std::memory_order order) noexcept { return value_.fetch_and(bits, order); }

 private:
  std::atomic<T> value_{};
};

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
