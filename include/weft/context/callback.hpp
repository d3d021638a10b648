// A function that runs in a fiber of its own once a context is cancelled.
//
// Model       stands in the list of the context's nearest cancel_node, which has a count of it. Who
//             claims it decides: the walk of a cancellation starts the function, stop() drops it.
// Order       pair callback.claim: the claims are ordered, and each of them sees the registration.
#pragma once

#include <optional>
#include <source_location>
#include <utility>

#include "weft/arch/atomic.hpp"
#include "weft/base/reset_at_end.hpp"
#include "weft/context/node.hpp"
#include "weft/sched/shared_function.hpp"

namespace weft::inline WEFT_ABI::detail {

class context_callback : public cancel_child, public shared_function {
 public:
  // Once, by the one that gets the handle's count: puts it in the list of `source` (null: it never
  // runs), or starts it where that is cancelled already. Throws what create_fiber throws.
  void enlist(cancel_node* source);
  // By the walk that has popped it; takes over the list's count.
  void tell() noexcept;
  // True: it will not run; its function was destroyed. `source` as in enlist.
  bool stop(cancel_node* source) noexcept;

 protected:
  using clear_function = void (*)(context_callback&) noexcept;

  context_callback(const callable_type& started, end_function end, clear_function clear,
                   std::source_location where) noexcept
      : cancel_child(kind::callback), shared_function(started, end, where), clear_(clear) {}
  ~context_callback() = default;

 private:
  [[nodiscard]] bool try_claim() noexcept {
    return !claimed_.exchange(true, acq_rel);  // pairs: callback.claim
  }

  bool start_somewhere();

  const clear_function clear_;  // destroys the callable
  scheduler* home_ = nullptr;   // where it was enlisted; may be gone
  atomic<bool> claimed_{false};
};

template <class F>
class typed_context_callback final : public context_callback {
 public:
  typed_context_callback(F&& f, std::source_location where)
      : context_callback(started_type<typed_context_callback, F>, end, clear, where),
        f_(std::move(f)) {}

  void call() {
    const reset_at_end destroys(f_);  // the stop handle may outlive the run by far
    (*f_)();
  }

 private:
  static void end(shared_function* self) noexcept {
    delete static_cast<typed_context_callback*>(self);
  }
  static void clear(context_callback& self) noexcept {
    static_cast<typed_context_callback&>(self).f_.reset();
  }

  std::optional<F> f_;
};

}  // namespace weft::inline WEFT_ABI::detail
