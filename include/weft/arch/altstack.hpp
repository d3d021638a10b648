// Signal handling that survives a full stack: an alternate stack per thread, and the overflow
// handler.
//
// Why unsafe  the handler runs at any instruction. It reads the registry of stacks and its own
//             constants, takes no lock and allocates nothing. What is no overflow of a fiber's
//             stack must reach whoever would have got it without us.
// Caller      each machine holds an alt_stack while it runs fibers: without one the kernel ends the
//             process silently, since a full stack has no room for a signal frame. The alternate
//             stack belongs to the thread, not to the fiber.
// Passing on  a handler found at installation is called with the same arguments and under its own
//             mask, and its SA_NODEFER, SA_RESTART and SA_RESETHAND hold; it runs on the alternate
//             stack even if it did not ask for that. Default action: it is restored and the
//             instruction faults again, so that the core and the exit status are the fault's own; a
//             signal that was sent is sent again with its siginfo. Ignored: a sent one is dropped,
//             a fault is fatal, as the kernel has it.
// Order       pair overflow.hook: install releases -> the handler acquires: the saved actions are
//             visible.
// Seen by     tests "altstack: ...", in child processes.
#pragma once

#include <cstddef>

#include "weft/arch/stack.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Gives the calling thread an alternate signal stack, with a guard, for its own lifetime. A thread
// that has one keeps it. Made and destroyed by the same thread.
class alt_stack {
 public:
  alt_stack() noexcept;
  ~alt_stack();
  alt_stack(const alt_stack&) = delete;
  alt_stack& operator=(const alt_stack&) = delete;

  // False: the system refused one, and the thread had none.
  [[nodiscard]] bool is_installed() const noexcept { return installed_; }

 private:
  void* start_ = nullptr;  // null: not ours
  std::size_t bytes_ = 0;
  std::size_t guards_ = 0;  // 0 or 1
  bool installed_ = false;
};

// One for whichever thread runs fibers just now, kept from one to the next. A thread that has its
// own keeps it.
class lent_alt_stack {
 public:
  lent_alt_stack() = default;
  ~lent_alt_stack();
  lent_alt_stack(const lent_alt_stack&) = delete;
  lent_alt_stack& operator=(const lent_alt_stack&) = delete;

  // To the calling thread, which gives it back. Where the system refuses one, it has none.
  void lend() noexcept;
  void take_back() noexcept;

 private:
  void* start_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t guards_ = 0;
  bool is_lent_ = false;
};

// Called on the alternate stack of the thread that ran into a guard. Reports and ends the process;
// if it returns, the fault is passed on as if it were none of ours.
using overflow_hook = void (*)(const stack_place& place, void* fault_address, void* ucontext);

// Installs the handler for SIGSEGV and SIGBUS, once in the life of the process; later calls change
// the hook only. From any thread.
void install_overflow_handler(overflow_hook hook) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
