// The pthread locks that the calling OS thread holds for a fiber, with the places that took them;
// filled only in programs that link weft::check (src/arch/check/held_locks.cpp).
//
// Model       The program's own pthread_mutex_lock and its like stand in front of the C library's,
//             for the whole process, and note in a table of the thread what was taken and given
//             back. Condition variables give up and retake their mutex inside the C library: seen
//             from here nothing changes.
// Unsafe      the wrappers run before main, inside of malloc and under the dynamic linker: they
//             allocate nothing and take no lock of their own. The real functions are looked up
//             once, before the first constructor of any shared object.
// Limits      `capacity` locks a thread; what is beyond is not noted. Only what is taken in a fiber
//             counts: nothing else parks.
// Seen by     test "check: what is right makes no report", also under each sanitizer.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class fiber;

struct held_lock {
  static constexpr std::size_t max_frames = 6;

  const void* lock = nullptr;
  const fiber* owner = nullptr;  // who ran when it was taken
  std::size_t frame_count = 0;
  void* frames[max_frames] = {};  // of the caller that took it, innermost first
};

struct held_locks {
  static constexpr std::size_t capacity = 16;

  std::size_t count = 0;
  bool is_busy = false;  // noting or reporting: what is locked meanwhile is none of the program's
  held_lock locks[capacity];

  // Of the calling thread; the address is not to be kept across anything that may park.
  [[nodiscard]] static held_locks& of_thread() noexcept;

  // Forgets what `owner` holds.
  void forget(const fiber* owner) noexcept;
};

}  // namespace weft::inline WEFT_ABI::detail
