// Forced unwinding of the calling fiber, and the mark by which unwinders know a stack's bottom.
//
// Model       exit_fiber unwinds as a thread's cancellation does: destructors run, typed handlers
//             are passed over, `catch (...)` is entered and usually rethrows. The exception that
//             travels is an ordinary object of the C++ runtime (thrown type `fiber_exit`, not a
//             std::exception), raised by _Unwind_ForcedUnwind instead of __cxa_throw. So it may
//             pass through handlers while other exceptions are being handled,
//             std::current_exception() can hold it, and std::uncaught_exceptions() counts it like
//             any other. A stop function sees each frame before its cleanups run; at the end of the
//             stack it leaves for ever.
// States      idle      no unwinding is under way
//             active    from forced_unwind() until the bottom, or until a handler swallowed it
// Swallowed   when a `catch (...)` ends without a rethrow the request is idle again and
//             on_swallowed runs; the scheduler begins again at the fiber's next runtime entry
//             (SC-13). Not so where an outer unwinding runs the destructor that swallowed: that
//             one goes on.
// Terminates  where C++ says so: a noexcept frame, a destructor during unwinding (SC-14). The
//             handler of report.hpp then finds is_active() true and frame() in the function that
//             refused.
// Entry       a fiber's entry function must not be noexcept and must let the unwinding pass: a
//             `catch (...)` around the fiber's callable rethrows when is_active(). Its first
//             statement is WEFT_MARK_STACK_BOTTOM().
// Unsafe      relies on the layout of the C++ runtime's exception header (Itanium ABI), which both
//             libstdc++ and libc++abi share. Seen by every test of unwind_test.cpp.
// Rejected    a plain C++ exception: swallowed silently by `catch (...)`, caught by handlers that
//             look like them. A foreign exception class, as glibc's thread cancellation has: the
//             runtime terminates when a handler catches one while another exception is being
//             handled, and each rethrow leaves std::uncaught_exceptions() one too high.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

// Tells unwinders, debuggers and profilers that the calling function has no caller. The first
// statement of a function that never returns and that another stack's switch enters.
#if defined(__x86_64__)
#define WEFT_MARK_NO_CALLER() asm volatile(".cfi_undefined rip")
#elif defined(__aarch64__)
#define WEFT_MARK_NO_CALLER() asm volatile(".cfi_undefined x30")
#else
#define WEFT_MARK_NO_CALLER() static_cast<void>(0)
#endif
// The chain of frame pointers, by which profilers go, ends here too: the frame pointer that the
// function has saved is none. It never returns, so nobody wants it back.
#define WEFT_MARK_STACK_BOTTOM() \
  WEFT_MARK_NO_CALLER();         \
  *static_cast<void**>(__builtin_frame_address(0)) = nullptr

namespace weft::inline WEFT_ABI::detail {

// One fiber's unwinding; lives in the fiber's record, not on its stack.
class unwind_request {
 public:
  using function = void (*)(void* argument) noexcept;

  // `at_bottom` runs on the fiber's stack when every frame is gone, with the exception state of the
  // thread clean; it must not return. `on_swallowed` may be null.
  unwind_request(function at_bottom, function on_swallowed, void* argument) noexcept
      : at_bottom_(at_bottom), on_swallowed_(on_swallowed), argument_(argument) {}
  unwind_request(const unwind_request&) = delete;
  unwind_request& operator=(const unwind_request&) = delete;

  [[nodiscard]] bool is_active() const noexcept { return depth_ != 0; }
  // An address in the frame that the unwinding has reached; null when idle.
  [[nodiscard]] void* frame() const noexcept { return frame_; }

 private:
  friend struct unwinder;

  function at_bottom_;
  function on_swallowed_;
  void* argument_;
  void* frame_ = nullptr;
  // Above 1 when a destructor that runs because of the unwinding began one of its own.
  unsigned depth_ = 0;
};

// Unwinds the calling fiber's stack. Leaves through the frames as an exception does; std::terminate
// where that is not allowed.
[[noreturn]] void forced_unwind(unwind_request& request);

}  // namespace weft::inline WEFT_ABI::detail
