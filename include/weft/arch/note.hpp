// A one-shot sleep for an OS thread: one waits, another wakes it; a futex word.
//
// Why unsafe  the waker may touch the word after the waiter has gone on and its memory was reused:
//             the system call then wakes nobody, which is harmless; nothing is written.
// Order       pair note.word: wake releases -> wait acquires.
// Rejected    a condition variable: two system calls more and a mutex that must outlive both sides.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"

namespace weft::inline WEFT_ABI::detail {

class note {
 public:
  constexpr note() noexcept = default;

  // Blocks the OS thread until wake() was called since the last clear().
  void wait() noexcept;
  // The same until `deadline` (nanoseconds of the monotonic clock). False: timed out.
  [[nodiscard]] bool wait_until(std::int64_t deadline) noexcept;
  // Wakes the waiter, now or when it comes. From any thread.
  void wake() noexcept;
  // Makes the note fit for another wait; only by the waiter, when no wake can be under way.
  void clear() noexcept;

 private:
  atomic<std::uint32_t> word_{0};
};

}  // namespace weft::inline WEFT_ABI::detail
