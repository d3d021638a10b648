// Contexts: cancellation, deadlines and values, passed down a tree of calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/chan.hpp"
#include "weft/context/callback.hpp"
#include "weft/context/node.hpp"
#include "weft/error.hpp"
#include "weft/time.hpp"

/// @file
/// A context tells the fibers that work for one request when to stop. Pass it as the first
/// argument; a call that has one and may block fails with the context's error as soon as the
/// context is done, even where it could go ahead, and what it was to do has not happened then.
///
///     auto [ctx, cancel] = weft::with_timeout(parent, 2s);
///     while (auto job = jobs.recv(ctx)) work(ctx, *job);
///
/// Cancelling a context cancels everything derived from it and nothing else. Dropping a plain
/// context handle cancels nothing; the cancel handle does when it is destroyed.

namespace weft::inline WEFT_ABI {

class context;

/// Names a value that contexts carry. The object is the key, whatever its name: give it static
/// storage.
template <class T>
class context_key {
 public:
  constexpr context_key() noexcept = default;
  /// With a name for messages.
  explicit constexpr context_key(std::string_view name) noexcept : name_(name) {}
  context_key(const context_key&) = delete;
  context_key& operator=(const context_key&) = delete;

  /// For messages; the text must outlive the key.
  [[nodiscard]] constexpr std::string_view name() const noexcept { return name_; }

 private:
  std::string_view name_;
};

namespace detail {

struct context_access {
  // Takes over a count; null: background.
  static context adopt(context_node* node) noexcept;
  static context_node* node(const context& ctx) noexcept;
};

}  // namespace detail

/// A shared handle to a node in a tree of contexts; default-constructed the background, which is
/// never done. Copying is cheap, and every member may be called by any fiber or thread.
class context {
 public:
  /// The background. Allocates nothing.
  constexpr context() noexcept = default;
  context(const context& other) noexcept : node_(other.node_) {
    if (node_ != nullptr) node_->add_ref();
  }
  context(context&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  context& operator=(context other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~context() {
    if (node_ != nullptr) detail::drop(node_);
  }

  /// Closed once the context is done; the same channel at every call. Nil where it never will be.
  /// Errors  std::bad_alloc: the channel is made at the first call.
  [[nodiscard]] recv_chan<unit> done() const;

  /// None until the context is done, then errc::canceled or errc::deadline_exceeded, for ever.
  /// Never blocks.
  /// Order   when an error is seen, done() is closed, and what the canceller did before is visible.
  [[nodiscard]] std::error_code err() const noexcept {
    return source() == nullptr ? std::error_code() : source()->error();
  }

  /// What the first cancellation on the way up gave as its cause, else a std::system_error with
  /// err(); null until the context is done.
  [[nodiscard]] std::exception_ptr cause() const noexcept {
    return source() == nullptr ? nullptr : source()->cause();
  }

  /// The earliest deadline on the way up; nullopt where there is none, or it is time_point::max().
  [[nodiscard]] std::optional<clock::time_point> deadline() const noexcept {
    if (source() == nullptr || source()->deadline() == detail::never) return std::nullopt;
    return clock::time_point(clock::duration(source()->deadline()));
  }

  /// Throws std::system_error with err() if the context is done.
  void throw_if_done() const {
    if (const std::error_code ec = err()) detail::throw_system_error(ec);
  }

  /// The value that the nearest with_value on the way up has for this key, or null. It lives as
  /// long as any context derived from that one.
  template <class T>
  [[nodiscard]] const T* value(const context_key<T>& key) const noexcept {
    return static_cast<const T*>(detail::find_value(node_, std::addressof(key)));
  }

  /// Whether both are the same node.
  friend bool operator==(const context&, const context&) noexcept = default;

 private:
  friend detail::context_access;

  explicit context(detail::context_node* node) noexcept : node_(node) {}

  [[nodiscard]] detail::cancel_node* source() const noexcept {
    return node_ == nullptr ? nullptr : node_->source;
  }

  detail::context_node* node_ = nullptr;
};

/// The context that is never done, and the root of all others; the same as `context{}`.
[[nodiscard]] inline context background() noexcept { return {}; }

namespace detail {

inline context context_access::adopt(context_node* node) noexcept { return context(node); }
inline context_node* context_access::node(const context& ctx) noexcept { return ctx.node_; }

}  // namespace detail

inline recv_chan<unit> context::done() const {
  if (source() == nullptr) return {};
  detail::channel<unit>& ch = source()->done();
  ch.add_ref();
  return detail::chan_access::adopt<recv_chan<unit>>(&ch);
}

/// Cancels one context. Move-only; the destructor cancels too. A handle that was moved from does
/// nothing.
class [[nodiscard]] cancel_func {
 public:
  cancel_func() noexcept = default;
  cancel_func(cancel_func&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  /// Cancels what it had before.
  cancel_func& operator=(cancel_func&& other) noexcept {
    cancel_func old(std::move(*this));
    node_ = std::exchange(other.node_, nullptr);
    return *this;
  }
  ~cancel_func() {
    if (node_ == nullptr) return;
    (*this)();
    detail::drop(node_);
  }

  /// Ends the context with errc::canceled, and all that are derived from it; the first cancellation
  /// of each wins. When it returns that has happened. Never blocks; does not wait for functions
  /// registered by after_func.
  /// Threads any, at the same time as any other operation.
  /// Order   synchronizes with whoever sees the context done.
  void operator()() const noexcept { (*this)(nullptr); }

  /// The same with a cause, which context::cause() gives; null: none.
  void operator()(std::exception_ptr cause) const noexcept {
    if (node_ != nullptr) node_->cancel(errc::canceled, std::move(cause));
  }

 private:
  friend struct cancelable_context;

  explicit cancel_func(detail::cancel_node& node) noexcept : node_(&node) {}

  detail::cancel_node* node_ = nullptr;  // with a count
};

/// A new context and what cancels it: `auto [ctx, cancel] = with_cancel(parent);`.
struct [[nodiscard]] cancelable_context {
  context ctx;         ///< the context
  cancel_func cancel;  ///< cancels it when called or destroyed

  // Takes over two counts.
  explicit cancelable_context(detail::cancel_node* node) noexcept
      : ctx(detail::context_access::adopt(node)), cancel(cancel_func(*node)) {}
};

/// A child of `parent` that can be cancelled. Where the parent is done, so is the child, with the
/// parent's error and cause.
/// Errors  std::bad_alloc.
inline cancelable_context with_cancel(const context& parent) {
  return cancelable_context(detail::cancel_node::make(detail::context_access::node(parent)));
}

/// A child that is done at `when` at the latest, with errc::deadline_exceeded and `cause`; at once
/// where that is past. Where the parent's deadline is not later it has none of its own.
/// time_point::max() is never.
/// Errors  std::bad_alloc; std::logic_error from a plain thread while there is not exactly one
///         runtime.
inline cancelable_context with_deadline(const context& parent, clock::time_point when,
                                        std::exception_ptr cause = {}) {
  const std::int64_t due = detail::to_ns(when);
  return cancelable_context(detail::deadline_node::make(detail::context_access::node(parent), due,
                                                        due <= detail::now_ns(), std::move(cause)));
}

/// with_deadline at `duration` from now; zero or less is past.
template <class Rep, class Period>
cancelable_context with_timeout(const context& parent, std::chrono::duration<Rep, Period> duration,
                                std::exception_ptr cause = {}) {
  const std::int64_t ns = detail::to_ns(duration);
  return cancelable_context(detail::deadline_node::make(
      detail::context_access::node(parent), detail::due_after(ns), ns <= 0, std::move(cause)));
}

/// A child that carries `value` for `key`, and hides an outer value of the same key. It is done
/// when the parent is.
/// Errors  std::bad_alloc, what moving T throws.
template <class T>
[[nodiscard]] context with_value(const context& parent, const context_key<T>& key,
                                 std::type_identity_t<T> value) {
  return detail::context_access::adopt(new detail::typed_value_node<T>(
      detail::context_access::node(parent), std::addressof(key), std::move(value)));
}

/// A child that has the parent's values, but neither its deadline nor its cancellation.
/// Errors  std::bad_alloc.
[[nodiscard]] inline context without_cancel(const context& parent) {
  if (detail::source_of(parent) == nullptr) return parent;
  return detail::context_access::adopt(detail::make_shield(detail::context_access::node(parent)));
}

class stop_func;

/// Runs `f` in a fiber of its own once `ctx` is done, at once if it is: in the runtime of whoever
/// cancels; where that is a plain thread without exactly one runtime, in the one in which `f` was
/// registered, and not at all if that has ended. Where memory for the fiber is refused `f` runs in
/// whoever cancels. Several functions on one context are independent.
/// Errors  std::bad_alloc; std::logic_error from a plain thread where `ctx` is done and there is
///         not exactly one runtime. An exception that leaves `f` ends the process, as in every
///         detached fiber.
/// Threads any fiber or thread.
/// Order   the cancellation synchronizes with the start of `f`.
template <class F>
stop_func after_func(const context& ctx, F&& f,
                     std::source_location where = std::source_location::current());

/// Keeps a function registered by after_func(ctx, f) from running. A shared handle; dropping it
/// changes nothing.
class stop_func {
 public:
  stop_func() noexcept = default;
  stop_func(const stop_func& other) noexcept : ctx_(other.ctx_), callback_(other.callback_) {
    if (callback_ != nullptr) callback_->add_ref();
  }
  stop_func(stop_func&& other) noexcept
      : ctx_(std::move(other.ctx_)), callback_(std::exchange(other.callback_, nullptr)) {}
  stop_func& operator=(stop_func other) noexcept {
    std::swap(ctx_, other.ctx_);
    std::swap(callback_, other.callback_);
    return *this;
  }
  ~stop_func() {
    if (callback_ != nullptr) callback_->drop_ref();
  }

  /// True: the function will not run, and was destroyed. False: it was started, or stopped before.
  /// Never blocks; does not wait for the function.
  /// Threads any, at the same time as any other operation.
  bool operator()() const noexcept { return callback_ != nullptr && callback_->stop(source()); }

 private:
  template <class F>
  friend stop_func after_func(const context&, F&&, std::source_location);

  // Takes over a count.
  stop_func(const context& ctx, detail::context_callback* callback) noexcept
      : ctx_(ctx), callback_(callback) {}

  [[nodiscard]] detail::cancel_node* source() const noexcept {
    detail::context_node* node = detail::context_access::node(ctx_);
    return node == nullptr ? nullptr : node->source;
  }

  context ctx_;
  detail::context_callback* callback_ = nullptr;  // with a count
};

template <class F>
stop_func after_func(const context& ctx, F&& f, std::source_location where) {
  using Callback = detail::typed_context_callback<std::decay_t<F>>;
  stop_func stop(ctx, new Callback(std::decay_t<F>(std::forward<F>(f)), where));
  stop.callback_->enlist(stop.source());
  return stop;
}

/// A context that is done, with errc::canceled, once a stop is requested; the background where that
/// can't happen.
/// Errors  std::bad_alloc.
[[nodiscard]] inline context from_stop_token(std::stop_token token) {
  if (!token.stop_possible()) return {};
  return detail::context_access::adopt(detail::token_node::make(std::move(token)));
}

/// A token whose stop is requested once `ctx` is done, for whatever reason. Its callbacks run in
/// the fiber or thread that cancels, before cancel returns, and must not block.
/// Errors  std::bad_alloc.
[[nodiscard]] inline std::stop_token to_stop_token(const context& ctx) {
  detail::context_node* node = detail::context_access::node(ctx);
  return node == nullptr || node->source == nullptr ? std::stop_token() : node->source->token();
}

/// Suspends the caller until `when`, or until `ctx` is done.
/// Blocks  until then; not at all where it is past, or the context done.
/// Cancel  throws std::system_error with the context's error.
/// Errors  std::bad_alloc.
/// Threads any fiber or thread.
template <class Duration>
void sleep_until(const context& ctx, std::chrono::time_point<clock, Duration> when) {
  std::error_code ec;
  sleep_until(ctx, when, ec);
  if (ec) detail::throw_system_error(ec);
}
/// The same, reporting the context's error in `ec`.
template <class Duration>
void sleep_until(const context& ctx, std::chrono::time_point<clock, Duration> when,
                 std::error_code& ec) {
  ec.clear();
  detail::cancel_source* source = detail::source_of(ctx);
  if (source == nullptr) {
    sleep_until(when);
  } else if (!detail::sleep_until_ns(*source, detail::to_ns(when.time_since_epoch()))) {
    ec = ctx.err();
  }
}

/// Suspends the caller for `duration`, or until `ctx` is done; the rest as sleep_until.
template <class Rep, class Period>
void sleep_for(const context& ctx, std::chrono::duration<Rep, Period> duration) {
  sleep_until(ctx, clock::time_point(clock::duration(detail::due_after(detail::to_ns(duration)))));
}
/// The same, reporting the context's error in `ec`.
template <class Rep, class Period>
void sleep_for(const context& ctx, std::chrono::duration<Rep, Period> duration,
               std::error_code& ec) {
  sleep_until(ctx, clock::time_point(clock::duration(detail::due_after(detail::to_ns(duration)))),
              ec);
}

}  // namespace weft::inline WEFT_ABI
