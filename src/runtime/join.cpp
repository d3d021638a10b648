// Completing and joining a spawned fiber.
#include "weft/runtime/join.hpp"

#include <utility>

#include "weft/arch/report.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/fiber.hpp"
#include "weft/sched/misuse.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::uint32_t join_by_end = 0;
constexpr std::uint32_t join_by_cancel = 1;

// By the fiber that threw, or by the one that let go of it when it had ended.
[[noreturn]] void report_of_detached(const std::exception_ptr& error) noexcept {
  if (!begin_fatal_report()) end_process(2);
  {
    report out;
    describe_exception(error, out);
    out.line();
    if (fiber* f = this_fiber_or_null()) dump_fiber(*f, out, dump_style::plain);
  }
  end_process(2);
}

}  // namespace

void join_core::complete() noexcept {
  woken_chain woken;
  bool detached = false;
  {
    lock_guard held(lock_);
    is_complete_ = true;
    detached = is_detached_;
    while (waiter* w = pop_claimed(joiners_)) woken.push_back(w);
  }
  wake_all(woken);
  if (detached && error_ != nullptr) report_of_detached(error_);
}

void join_core::detach() noexcept {
  bool complete = false;
  {
    lock_guard held(lock_);
    is_detached_ = true;
    complete = is_complete_;
  }
  if (complete && error_ != nullptr) report_of_detached(error_);
}

bool join_core::is_complete() const noexcept {
  lock_guard held(lock_);
  return is_complete_;
}

bool join_core::wait(cancel_source* source) {
  safepoint();
  if (source != nullptr && source->is_fired()) return false;
  waiter place;
  place.guard = &lock_;
  place.index = join_by_end;
  if (source == nullptr) {
    wait_state wait(wait_state::kind::single, wait_reason::join, &place, 1);
    wait.meets(home_);
    wait.awaits(runner_);
    lock_.lock();
    if (is_complete_) {
      lock_.unlock();
      return true;
    }
    joiners_.push_back(place);
    wait.park(lock_);
    return true;
  }
  multi_wait wait(wait_reason::join, &place, 1);
  wait.meets(home_);
  wait.awaits(runner_);
  if (!wait.watch(*source, join_by_cancel)) return false;
  lock_.lock();
  if (is_complete_) {
    lock_.unlock();
    return true;
  }
  joiners_.push_back(place);
  return wait.park(lock_) == join_by_end;
}

// The joiner's alone: nobody else may drop the last reference to what it is about to look at, which
// ThreadSanitizer could not follow into the C++ library.
void join_core::throw_if_failed() {
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
  if (!has_value_) throw_system_error(errc::fiber_exited);
}

void join_at_end(join_core& state) noexcept {
  if (is_forked_child()) return;
  fiber* f = this_fiber_or_null();
  // Not unwound here: it waits until what it joins has been.
  if (f != nullptr) ++f->keeps_stack;
  static_cast<void>(state.wait(nullptr));
  if (f != nullptr) --f->keeps_stack;
  if (state.error() == nullptr) return;
  if (std::uncaught_exceptions() == 0 && !is_being_unwound()) {
    if (!begin_fatal_report()) end_process(2);
    {
      report out;
      describe_exception(state.error(), out);
      out.line();
      out.line("in a joined fiber whose join_handle was destroyed without a join()");
      if (f != nullptr) dump_fiber(*f, out, dump_style::plain);
    }
    end_process(2);
  }
  report out;
  out.line(
      "weft: the exception of a fiber is dropped: its join_handle was destroyed during unwinding");
  describe_exception(state.error(), out);
}

}  // namespace weft::inline WEFT_ABI::detail
