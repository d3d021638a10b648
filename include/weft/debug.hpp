// Seeing the fibers of a running process.
#pragma once

#include <csignal>
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
  /// The innermost frame first; weft's own inner frames are left out. Empty: it runs (and is not
  /// the caller), or has not run yet.
  std::vector<frame> stack;
};

/// Whether fibers() is to walk the stacks and to find their names, files and lines.
enum class stacks : unsigned char { none, with_places };

/// All user fibers of all runtimes of the process.
///
/// Blocks  the OS thread: with places for some 100 ms, the first time that they are asked for.
/// Errors  std::bad_alloc.
/// Threads any. A fiber that is to go on waits while its stack is walked, some microseconds;
///         different entries may be true at different moments.
[[nodiscard]] std::vector<fiber_info> fibers(stacks how = stacks::with_places);

/// Writes them as text to a descriptor: what each does, its stack and where it was created, those
/// that are alike in one paragraph, and before all others who waits for one another in a ring.
/// Functions have their mangled names (c++filt reads them) and places are offsets in their module
/// (addr2line reads them): nothing is allocated, so that it may be called from a signal handler.
/// What can't be written is dropped.
///
/// Blocks  the OS thread, never the fiber.
/// Threads any, signal handlers too.
void dump(int fd);

/// The same to a stream, with functions as in the source, and with files and lines where weft was
/// built with libdw.
///
/// Blocks  the OS thread, as fibers(); and as the stream does.
/// Errors  what the stream throws; std::bad_alloc.
/// Threads any, but no signal handler.
void dump(std::ostream& out);

/// From now on the signal writes the dump to stderr, and the program goes on; until its disposition
/// is changed by somebody else. What was installed for it before is replaced. A signal that comes
/// while a dump for another one is being written is dropped.
///
/// Errors  std::invalid_argument for what is no signal or can't be caught that way (SIGKILL,
///         SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL).
/// Threads any.
void dump_on_signal(int signal = SIGQUIT);

}  // namespace debug
}  // namespace weft::inline WEFT_ABI
