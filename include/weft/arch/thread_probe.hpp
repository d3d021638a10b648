// The stack of a thread that runs on, taken by its own signal handler.
//
// Model       the asker names the thread and sends it SIGURG, whose default is to be ignored; the
//             handler walks what it has interrupted, by the call-frame tables. One question at a
//             time in the process:
//
//               idle      nobody asks
//               asked     asker: -> idle (no answer came); handler on the thread: -> answering
//               answering the handler writes the sample
//               answered  the asker reads it: -> idle
//
// Why unsafe  a signal at any instruction; a system call that does not begin again by itself ends
//             with EINTR. So it is only done when the user asked for such reports.
// Caller      one that may wait some milliseconds, and that knows the thread to be its own.
// Order       pair probe.state: each step releases -> the next one acquires.
// Seen by     test "stalls: ...".
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

struct stack_sample {
  static constexpr std::size_t max_frames = 64;

  std::size_t count = 0;
  void* frames[max_frames] = {};
};

// `id` as current_thread_id() gives it. False: no answer came, the signal has a handler of the
// program's own, or somebody else asks.
[[nodiscard]] bool sample_thread(int id, stack_sample& out) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
