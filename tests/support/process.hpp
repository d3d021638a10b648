// What a test asks of its process and of the calling thread, without Catch2.
//
// The address of errno and the calling thread's identity are kept by compilers across a call that
// switches fibers; the functions here are not inlined and not pure to them, so each call asks anew.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "weft/arch/clock.hpp"
#include "weft/base/config.hpp"

namespace test {

WEFT_NOINLINE inline std::thread::id thread_now() {
  asm volatile("" ::: "memory");
  return std::this_thread::get_id();
}

WEFT_NOINLINE inline int errno_now() {
  asm volatile("" ::: "memory");
  return errno;
}

WEFT_NOINLINE inline void set_errno(int value) {
  asm volatile("" ::: "memory");
  errno = value;
}

// Keeps the caller busy for `d` without a runtime entry.
inline void spin_for(std::chrono::nanoseconds d) {
  const std::int64_t limit = weft::detail::monotonic_ns() + d.count();
  while (weft::detail::monotonic_ns() < limit) {
  }
}

// What a process holds; a runtime that has stopped leaves none of it behind.
struct holdings {
  std::size_t threads = 0;
  std::size_t descriptors = 0;
  std::size_t mappings = 0;

  static holdings now() {
    holdings h;
    h.threads = entries("/proc/self/task");
    h.descriptors = entries("/proc/self/fd");
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) ++h.mappings;
    return h;
  }

 private:
  static std::size_t entries(const char* directory) {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(directory)) ++n;
    return n;
  }
};

// Resident memory of the process in bytes.
inline std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Memory sizes say nothing about weft where a sanitizer shadows it; fibers are dear there.
inline constexpr bool sanitized = WEFT_ASAN != 0 || WEFT_TSAN != 0;

}  // namespace test
