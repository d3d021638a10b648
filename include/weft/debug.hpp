// Seeing the fibers of a running process.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "weft/runtime.hpp"
#include "weft/time/clock.hpp"

namespace weft::inline WEFT_ABI {
namespace debug {

/// A place in the code; line 0 and empty names: not known.
struct frame {
  std::string function;
  std::string file;
  int line = 0;
};

/// What a fiber is doing.
struct fiber_info {
  fiber_id id;
  std::string name;
  /// `running`, `runnable`, or why it is blocked: `chan receive`, `select`, `sleep`, …
  std::string state;
  /// Since when, to some milliseconds.
  clock::time_point since;
  frame created_at;
  std::vector<frame> stack;
};

/// All user fibers of all runtimes of the process.
/// Threads any. Nobody is stopped: different entries may be true at different moments.
[[nodiscard]] std::vector<fiber_info> fibers();

/// Writes them as text, one paragraph each, to a descriptor. Allocates nothing, so that it may be
/// called from a signal handler; errors of writing are ignored.
void dump(int fd);
/// The same to a stream.
void dump(std::ostream& out);

}  // namespace debug
}  // namespace weft::inline WEFT_ABI
