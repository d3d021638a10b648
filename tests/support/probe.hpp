// What tests ask of threads, errno, dumps and the process, without the compiler's caching.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "support/process.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/arch/clock.hpp"
#include "weft/debug.hpp"
#include "weft/runtime.hpp"

namespace test {

// Waits for `flag` without a runtime entry, as a hog does. False: nobody set it.
inline bool spin_until_set(const std::atomic<bool>& flag) {
  const std::int64_t limit =
      weft::detail::monotonic_ns() + std::chrono::nanoseconds(patience).count();
  while (!flag.load()) {
    if (weft::detail::monotonic_ns() > limit) return false;
  }
  return true;
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
  for (weft::debug::fiber_info& f : weft::debug::fibers(weft::debug::stacks::none)) {
    if (f.id == id) return std::move(f);
  }
  return std::nullopt;
}

// Empty: no such fiber.
inline std::string state_of(weft::fiber_id id) {
  std::optional<weft::debug::fiber_info> f = find_fiber(id);
  return f ? f->state : std::string();
}

inline std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++n;
  }
  return n;
}

}  // namespace test
