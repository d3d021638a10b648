// group: fibers that are started together, fail together and are joined together.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/base/reset_at_end.hpp"
#include "weft/context.hpp"
#include "weft/context/group_core.hpp"
#include "weft/runtime.hpp"

namespace weft::inline WEFT_ABI {

/// Structured concurrency: the children of a group do not outlive it, and the first that fails
/// cancels the context of the others.
///
///     weft::group g(parent);
///     for (auto& part : parts) g.go([&part](weft::context ctx) { work(ctx, part); });
///     g.wait();
///
/// Threads  All members from any fiber and any thread. The group must outlive the calls.
/// Order    The end of each child synchronizes with the return of wait().
class group {
 public:
  /// The children's context is derived from `parent`.
  /// Errors   std::bad_alloc.
  explicit group(const weft::context& parent = {}) : scope_(with_cancel(parent)) {}
  group(const group&) = delete;
  group& operator=(const group&) = delete;

  /// Cancels the children's context and joins them. An exception that no wait() has told is printed
  /// and dropped.
  ~group() {
    scope_.cancel();
    core_.join_at_end();
  }

  /// The children's context: done when a child has failed, the parent is done, or wait() has
  /// returned.
  [[nodiscard]] const weft::context& context() const noexcept { return scope_.ctx; }

  /// At most `n` children run at once from now on; go() waits for a place.
  /// Errors   weft::usage_error while children are active.
  void set_limit(std::size_t n) { core_.set_limit(n); }

  /// Runs `f`, which may take the children's context, in a new fiber.
  /// Blocks   while the limit is reached.
  /// Errors   those of weft::go; nothing is started then.
  template <class F>
    requires(std::invocable<std::decay_t<F>&, weft::context> || std::invocable<std::decay_t<F>&>)
  void go(F&& f, std::source_location where = std::source_location::current()) {
    detail::check_callable(f);
    member<std::decay_t<F>> child(place(*this), std::forward<F>(f));
    core_.acquire_place();
    child.has_place();
    weft::go(std::move(child), where);
  }

  /// The same if that does not exceed the limit; false: not started. Never blocks.
  template <class F>
    requires(std::invocable<std::decay_t<F>&, weft::context> || std::invocable<std::decay_t<F>&>)
  [[nodiscard]] bool try_go(F&& f, std::source_location where = std::source_location::current()) {
    detail::check_callable(f);
    if (!core_.try_acquire_place()) return false;
    place held(*this);
    held.is_taken();
    weft::go(member<std::decay_t<F>>(std::move(held), std::forward<F>(f)), where);
    return true;
  }

  /// Blocks   until all children have ended, and cancels their context.
  /// Errors   rethrows the exception of the child that failed first; those of others are dropped. A
  ///          child that left by exit_fiber has not failed.
  void wait() {
    static_cast<void>(core_.join({}));
    finish();
  }

  /// Blocks   as wait(), and while `ctx` is not done.
  /// Cancel   stops waiting; the children are not touched.
  /// Errors   as wait(); std::system_error with the context's error.
  void wait(const weft::context& ctx) {
    detail::throw_if_canceled(core_.join(detail::limits_of(ctx)), ctx);
    finish();
  }
  /// The same, reporting in `ec`: false when `ctx` is done.
  bool wait(const weft::context& ctx, std::error_code& ec) {
    const bool ended = detail::report_canceled(core_.join(detail::limits_of(ctx)), ctx, ec);
    if (ended) finish();
    return ended;
  }

 private:
  // A child's place, given back at its end: also of one that could not be started, or never ran
  // because the run is unwound.
  class place {
   public:
    explicit place(group& g) noexcept : group_(&g) {}
    place(place&& other) noexcept
        : group_(other.group_), is_taken_(std::exchange(other.is_taken_, false)) {}
    place& operator=(place&&) = delete;
    ~place() {
      if (is_taken_) group_->core_.release_place();
    }

    void is_taken() noexcept { is_taken_ = true; }
    [[nodiscard]] group& of() const noexcept { return *group_; }

   private:
    group* group_;
    bool is_taken_ = false;
  };

  // What a child's fiber runs. The place goes last, when all that f has captured is gone.
  template <class F>
  class member {
   public:
    template <class G>
    member(place&& p, G&& f) : place_(std::move(p)), f_(std::forward<G>(f)) {}

    void has_place() noexcept { place_.is_taken(); }

    void operator()() {
      group& g = place_.of();
      try {
        // What it has captured ends before its exception is told.
        const detail::reset_at_end destroys(f_);
        if constexpr (std::invocable<F&, weft::context>) {
          (*f_)(g.scope_.ctx);
        } else {
          (*f_)();
        }
      } catch (...) {
        // Forced unwinding passes: an exit is no failure.
        if (detail::is_being_unwound()) throw;
        g.fail(std::current_exception());
      }
    }

   private:
    place place_;
    std::optional<F> f_;
  };

  void fail(const std::exception_ptr& error) noexcept {
    if (core_.fail(error)) scope_.cancel(error);
  }

  void finish() {
    scope_.cancel();
    if (const std::exception_ptr error = core_.take_error()) std::rethrow_exception(error);
  }

  cancelable_context scope_;
  detail::group_core core_;
};

}  // namespace weft::inline WEFT_ABI
