// The only thread-local of the library: the machine of the calling OS thread.
//
// Why unsafe  compilers compute a thread-local's address once and reuse it after a call that
//             switches to another fiber, which may come back on another thread. So the address is
//             never visible to them: the accessor is inline assembly with the initial-exec model on
//             x86-64 and aarch64, elsewhere a function that is not inlined.
// Caller      fetches again after anything that may park; never keeps the result across it.
// Seen by     test "tls: the machine is right after a migration", with -fPIC and with -O2.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class fiber;

// The words of a fiber that inline code looks at; sched/fiber.hpp derives from it, as the first
// base, so that both have one address.
struct fiber_words {
  atomic<std::uint64_t> id{0};
};

[[nodiscard]] inline std::uint64_t id_of(fiber& f) noexcept {
  return static_cast<fiber_words*>(static_cast<void*>(&f))->id.load(relaxed);  // relaxed: its own
}

// The words of a machine that inline code looks at; sched/machine.hpp derives from it.
//
// attention (owner: its machine; others move it only as sched/take_away.hpp says)
//   bits 0..1   state of the take-away protocol: none, requested, taken
//   bits 2..7   reasons: yield, exit
//   bits 8..31  sequence number of the last request
struct machine_words {
  static constexpr std::uint32_t attention_mask = 0xff;

  untold_atomic<std::uint32_t> attention{0};
  untold_atomic<std::uint32_t> in_runtime{0};  // the machine is touching its processor

  // The fiber that runs; the owner writes, reports read.
  [[nodiscard]] fiber* current() const noexcept {
    return current_.load(relaxed);  // relaxed: the owner's, or a report
  }
  void set_current(fiber* f) noexcept { current_.store(f, relaxed); }  // relaxed: likewise

 private:
  atomic<fiber*> current_{nullptr};
};

}  // namespace weft::inline WEFT_ABI::detail

extern "C" {
extern thread_local constinit weft::detail::machine_words* weft_this_machine
    __attribute__((tls_model("initial-exec"), visibility("default")));
}

namespace weft::inline WEFT_ABI::detail {

#if defined(__x86_64__) && !defined(__ILP32__)
// Null on a thread that is no machine.
WEFT_ALWAYS_INLINE machine_words* this_machine() noexcept {
  machine_words* m;
  asm volatile(
      "movq weft_this_machine@gottpoff(%%rip), %0\n\t"
      "movq %%fs:(%0), %0"
      : "=r"(m)
      :
      : "memory");
  return m;
}
#elif defined(__aarch64__)
WEFT_ALWAYS_INLINE machine_words* this_machine() noexcept {
  machine_words* m;
  std::uint64_t offset;
  asm volatile(
      "mrs %0, tpidr_el0\n\t"
      "adrp %1, :gottprel:weft_this_machine\n\t"
      "ldr %1, [%1, :gottprel_lo12:weft_this_machine]\n\t"
      "ldr %0, [%0, %1]"
      : "=&r"(m), "=&r"(offset)
      :
      : "memory");
  return m;
}
#else
[[nodiscard]] machine_words* this_machine() noexcept;
#endif

// By a thread that begins or ceases to be a machine.
void set_this_machine(machine_words* m) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
