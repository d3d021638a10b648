// once_value: a function that is called once and whose result is kept.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/base/error.hpp"
#include "weft/base/reset_at_end.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/once.hpp"

namespace weft::inline WEFT_ABI {

namespace detail {

// What the copies of one once_function share.
template <class F>
class once_state {
 public:
  using result = std::remove_cvref_t<std::invoke_result_t<F&>>;

  explicit once_state(F f) : f_(std::move(f)) {}

  const result& get() {
    if (WEFT_UNLIKELY(!core_.is_done()) && core_.begin()) run();
    if (WEFT_LIKELY(value_.has_value())) return *value_;
    if (error_ != nullptr) std::rethrow_exception(error_);
    throw_system_error(errc::fiber_exited);
  }

 private:
  void run() {
    const once_run ends(core_);
    // Before the others go on: what f has captured is gone when they return.
    const reset_at_end destroys(f_);
    try {
      value_.emplace((*f_)());
    } catch (...) {
      if (!is_being_unwound()) error_ = std::current_exception();
      throw;
    }
  }

  once_core core_;
  std::optional<F> f_;           // written by the run only
  std::optional<result> value_;  // likewise
  std::exception_ptr error_;     // likewise
};

}  // namespace detail

/// A function that is called once and whose result is kept; what once_value() gives. Copies share
/// it.
///
/// Threads  Calls from any fiber and any thread.
/// Order    The end of the function synchronizes with the return of every call.
template <class F>
class once_function {
 public:
  /// Of the function to call; once_value() makes one.
  template <class G>
    requires(!std::is_same_v<std::remove_cvref_t<G>, once_function>)
  explicit once_function(G&& f)
      : state_(std::make_shared<detail::once_state<F>>(std::forward<G>(f))) {}

  /// The same object at every call; it lives as long as the last copy of this function. The first
  /// call runs f and then destroys it.
  /// Blocks   while another call runs f.
  /// Errors   the exception of f, at every call; std::system_error with errc::fiber_exited when f
  ///          left by exit_fiber.
  const auto& operator()() const { return state_->get(); }

 private:
  std::shared_ptr<detail::once_state<F>> state_;
};

/// Makes `f` a function that is called once:
///
///     auto config = weft::once_value([&] { return load(); });
///     use(config());
///
/// Errors   std::bad_alloc, and what copying or moving f throws.
template <class F>
[[nodiscard]] once_function<std::decay_t<F>> once_value(F&& f) {
  return once_function<std::decay_t<F>>(std::forward<F>(f));
}

}  // namespace weft::inline WEFT_ABI
