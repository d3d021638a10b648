// OS threads: start with a given stack, join, name and count, without exceptions.
//
// Signals     a machine keeps the signal mask of its creator: the fibers that it runs are user code
//             and expect the process's signals. A service thread, which runs the library's code
//             only, asks for block_signals, so that no user handler ever runs on it; faults stay
//             deliverable.
// Seen by     tests "thread: ..."; thread creation passes the seam of arch/fault.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

struct thread_options {
  std::size_t stack_size = 0;  // 0: the system's default; raised to what the system needs at least
  const char* name = nullptr;  // the first 15 bytes are used
  bool block_signals = false;
};

// A thread, or none. Must be joined or detached before it is destroyed.
class os_thread {
 public:
  using entry = void* (*)(void* argument) noexcept;  // what it returns is ignored

  constexpr os_thread() noexcept = default;
  os_thread(os_thread&& other) noexcept;
  os_thread& operator=(os_thread&& other) noexcept;
  ~os_thread();

  // errc{}: it runs. resource_unavailable_try_again: the system has no thread to give.
  [[nodiscard]] std::errc start(entry run, void* argument, const thread_options& options) noexcept;

  [[nodiscard]] bool is_joinable() const noexcept { return started_; }
  // Blocks the OS thread.
  void join() noexcept;
  void detach() noexcept;

 private:
  std::uintptr_t handle_ = 0;
  bool started_ = false;
};

void set_current_thread_name(const char* name) noexcept;

// The kernel's number of the calling thread. A system call: keep it.
[[nodiscard]] int current_thread_id() noexcept;

// How many threads the process has, weft's own included; 0: the system does not tell.
[[nodiscard]] int process_thread_count() noexcept;

// The same from the text of /proc/<pid>/stat.
[[nodiscard]] int parse_thread_count(std::string_view stat) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
