// What a switch needs of the thread and of the sanitizers.
#include "weft/arch/switch.hpp"

#include <cxxabi.h>
#include <pthread.h>
#include <sched.h>

#include <cerrno>

#include "weft/arch/fault.hpp"
#include "weft/arch/no_sanitize.hpp"

namespace weft::inline WEFT_ABI::detail {

WEFT_NOINLINE thread_state thread_state_of_caller() noexcept {
  void* globals = abi::__cxa_get_globals();
  return {static_cast<exception_globals*>(globals), &errno};
}

void describe_own_thread(execution& self) noexcept {
  if (!switch_is_annotated()) return;
  if (has_thread_sanitizer()) self.tsan_fiber = __tsan_get_current_fiber();
#if defined(__linux__)
  pthread_attr_t attributes;
  if (injected_fault("pthread_getattr_np") != 0 ||
      ::pthread_getattr_np(::pthread_self(), &attributes) != 0)
    return;
  void* limit = nullptr;
  std::size_t size = 0;
  if (::pthread_attr_getstack(&attributes, &limit, &size) == 0) {
    self.stack_limit = limit;
    self.stack_size = size;
  }
  ::pthread_attr_destroy(&attributes);
#endif
}

void wait_for_holders(const execution& e) noexcept {
  // A walk takes some microseconds, but whoever walks may have lost its processor.
  while (e.holders.load(acquire) != 0) ::sched_yield();  // pairs: switch.hold
}

hold::hold(execution& e) noexcept : e_(e), context_(nullptr) {
  // relaxed: saves the fence for most of those that run
  if (e.context.load(relaxed) == nullptr) return;
  e.holders.fetch_add(1, acq_rel);  // pairs: switch.hold
  // Where membarrier was refused after it had worked nobody can be held any more.
  if (!heavy_fence() && !fences_were_always_full()) {
    let_go();
    return;
  }
  context_ = e.context.load(acquire);  // pairs: switch.context
  if (context_ == nullptr) let_go();
}

WEFT_NO_SANITIZE void annotate_departure(execution& from, const execution& to,
                                         bool from_ends) noexcept {
  if (&__sanitizer_start_switch_fiber != nullptr) {
    __sanitizer_start_switch_fiber(from_ends ? nullptr : &from.fake_stack, to.stack_limit,
                                   to.stack_size);
  }
  if (has_thread_sanitizer()) __tsan_switch_to_fiber(to.tsan_fiber, 0);
}

WEFT_NO_SANITIZE void annotate_arrival(execution& self) noexcept {
  if (&__sanitizer_finish_switch_fiber != nullptr)
    __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
  // What ready() has told of the fiber.
  if (has_thread_sanitizer()) tell_acquire(&self);
}

}  // namespace weft::inline WEFT_ABI::detail
