// What tests ask of threads, errno, dumps and the process, without the compiler's caching.
//
// The address of errno and the calling thread's identity are kept by compilers across a call that
// switches fibers; the functions here are not inlined and not pure to them, so each call asks anew.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/arch/clock.hpp"
#include "weft/base/config.hpp"
#include "weft/debug.hpp"
#include "weft/runtime.hpp"

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

// Waits for `flag` without a runtime entry, as a hog does. False: nobody set it.
inline bool spin_until_set(const std::atomic<bool>& flag) {
  const std::int64_t limit =
      weft::detail::monotonic_ns() + std::chrono::nanoseconds(patience).count();
  while (!flag.load()) {
    if (weft::detail::monotonic_ns() > limit) return false;
  }
  return true;
}

// Keeps the caller busy for `d` without a runtime entry.
inline void spin_for(std::chrono::nanoseconds d) {
  const std::int64_t limit = weft::detail::monotonic_ns() + d.count();
  while (weft::detail::monotonic_ns() < limit) {
  }
}

// As until() of support/run.hpp, for plain threads and children: false when it does not come true.
template <class Predicate>
bool eventually(Predicate holds) {
  const std::int64_t limit =
      weft::detail::monotonic_ns() + std::chrono::nanoseconds(patience).count();
  while (!holds()) {
    if (weft::detail::monotonic_ns() > limit) return false;
    if (weft::this_fiber::id() != weft::fiber_id{}) {
      weft::yield();
    } else {
      std::this_thread::yield();
    }
  }
  return true;
}

// Counts what is destroyed, on whichever way out.
class sentinel {
 public:
  explicit sentinel(std::atomic<int>& destroyed) : destroyed_(&destroyed) {}
  sentinel(const sentinel&) = delete;
  sentinel& operator=(const sentinel&) = delete;
  ~sentinel() { ++*destroyed_; }

 private:
  std::atomic<int>* destroyed_;
};

// The dump as text.
inline std::string dump_text() {
  std::FILE* file = std::tmpfile();
  if (file == nullptr) return {};
  weft::debug::dump(fileno(file));
  std::string text;
  std::rewind(file);
  char block[4096];
  while (const std::size_t n = std::fread(block, 1, sizeof block, file)) text.append(block, n);
  std::fclose(file);
  return text;
}

inline std::optional<weft::debug::fiber_info> find_fiber(weft::fiber_id id) {
  for (weft::debug::fiber_info& f : weft::debug::fibers()) {
    if (f.id == id) return std::move(f);
  }
  return std::nullopt;
}

// Empty: no such fiber.
inline std::string state_of(weft::fiber_id id) {
  std::optional<weft::debug::fiber_info> f = find_fiber(id);
  return f ? f->state : std::string();
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

inline std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++n;
  }
  return n;
}

}  // namespace test
