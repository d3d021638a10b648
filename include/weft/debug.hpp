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
  std::string function;  ///< its name, demangled
  std::string file;      ///< the source file
  int line = 0;          ///< in it
};

/// What a fiber is doing.
struct fiber_info {
  fiber_id id;       ///< its number in dumps
  std::string name;  ///< empty: none
  /// `running`, `runnable`, or why it is blocked: `chan receive`, `select`, `sleep`, …
  std::string state;
  /// Since when, to some milliseconds.
  clock::time_point since;
  /// Where go or spawn was called.
  frame created_at;
  /// The innermost frame first; empty where it is not known.
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
