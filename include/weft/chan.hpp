// Channels: typed, first-in-first-out pipes between fibers and threads.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/chan/channel.hpp"
#include "weft/error.hpp"

namespace weft::inline WEFT_ABI {

class context;

/// The element type of channels that only signal.
using unit = std::monostate;

/// What a non-blocking receive found.
enum class recv_status : unsigned char {
  ok,      ///< a value was received
  empty,   ///< it would block
  closed,  ///< closed, and nothing is left to receive
};

template <class T>
class chan;
template <class T>
class send_chan;
template <class T>
class recv_chan;

template <class T>
[[nodiscard]] chan<T> make_chan(std::size_t capacity = 0);

namespace detail {

// A counted reference to a channel, or nil.
template <class T>
class chan_handle {
 public:
  chan_handle() noexcept = default;
  // Takes over one reference.
  explicit chan_handle(channel<T>* ch) noexcept : ch_(ch) {}
  chan_handle(const chan_handle& other) noexcept : ch_(other.ch_) {
    if (ch_ != nullptr) ch_->add_ref();
  }
  chan_handle(chan_handle&& other) noexcept : ch_(std::exchange(other.ch_, nullptr)) {}
  chan_handle& operator=(chan_handle other) noexcept {
    std::swap(ch_, other.ch_);
    return *this;
  }
  ~chan_handle() {
    if (ch_ != nullptr) ch_->drop_ref();
  }

  [[nodiscard]] channel<T>* get() const noexcept { return ch_; }
  [[nodiscard]] std::size_t size() const noexcept { return ch_ == nullptr ? 0 : ch_->size(); }
  [[nodiscard]] std::size_t capacity() const noexcept {
    return ch_ == nullptr ? 0 : ch_->capacity();
  }
  [[nodiscard]] bool is_closed() const noexcept { return ch_ != nullptr && ch_->is_closed(); }

  void close() const {
    if (ch_ == nullptr) throw_close_of_nil();
    pass_entry();
    ch_->refuse_outsider("close of");
    ch_->close();
  }

  // `U` is T, to be moved from, or const T, to be copied.
  template <class U>
  void send(U& value) const {
    if (ch_ == nullptr) block_for_ever(wait_reason::chan_send_nil);
    ch_->refuse_outsider("send on");
    send_blocking(*ch_, value);
  }
  template <class U>
  bool try_send(U&& value) const {
    if (ch_ == nullptr) return false;
    pass_entry();
    ch_->refuse_outsider("send on");
    return try_send_once(*ch_, std::forward<U>(value));
  }

  std::optional<T> recv() const {
    if (ch_ == nullptr) block_for_ever(wait_reason::chan_receive_nil);
    ch_->refuse_outsider("receive on");
    std::optional<T> out;
    recv_blocking(*ch_, out);
    return out;
  }

  recv_status try_recv_into(std::optional<T>& out) const {
    if (ch_ == nullptr) return recv_status::empty;
    pass_entry();
    ch_->refuse_outsider("receive on");
    if (ch_->was_empty_and_open()) return recv_status::empty;
    chan_section section(*ch_);
    if (ch_->try_recv_locked(out, section.woken)) return recv_status::ok;
    return ch_->is_closed_locked() ? recv_status::closed : recv_status::empty;
  }

  // False: the context was done, and `ec` tells how.
  template <class U>
  bool send(const context& ctx, U& value, std::error_code& ec) const {
    ec.clear();
    cancel_source* source = source_of(ctx);
    if (source == nullptr) {
      send(value);
      return true;
    }
    if (ch_ == nullptr) {
      block_until(*source, wait_reason::chan_send_nil);
    } else {
      ch_->refuse_outsider("send on");
      const auto outcome =
          ch_->send_unless(*source, slot_of_read_only(std::addressof(value)), std::is_const_v<U>);
      if (outcome == chan_core::outcome::closed) throw_send_on_closed();
      if (outcome == chan_core::outcome::passed) return true;
    }
    ec = error_of(ctx);
    return false;
  }
  std::optional<T> recv(const context& ctx, std::error_code& ec) const {
    ec.clear();
    cancel_source* source = source_of(ctx);
    if (source == nullptr) return recv();
    std::optional<T> out;
    if (ch_ != nullptr) ch_->refuse_outsider("receive on");
    if (ch_ == nullptr) {
      block_until(*source, wait_reason::chan_receive_nil);
    } else if (ch_->recv_unless(*source, std::addressof(out)) != chan_core::outcome::cancelled) {
      return out;
    }
    ec = error_of(ctx);
    return out;
  }

 private:
  channel<T>* ch_ = nullptr;
};

inline void throw_if(const std::error_code& ec) {
  if (ec) throw_system_error(ec);
}

struct chan_access {
  template <class C>
  static auto* core(const C& c) noexcept {
    return c.handle_.get();
  }
  // A handle of class C that takes over one reference.
  template <class C, class T>
  static C adopt(channel<T>* ch) noexcept {
    return C(chan_handle<T>(ch));
  }
};

/// What a handle that may send offers. `Self` derives from it and has `handle_`.
template <class Self, class T>
class sending {
 public:
  /// Sends a copy of `value`.
  /// Blocks  until a receiver takes it or a place in the buffer is free; on a nil channel for ever.
  /// Errors  closed_channel when the channel is or becomes closed; what copying or moving T throws:
  ///         nothing was sent then.
  /// Threads any fiber or thread, at the same time as any other operation.
  /// Order   synchronizes with the receive that gets the value.
  void send(const T& value) const
    requires std::is_copy_constructible_v<T>
  {
    handle().send(value);
  }
  /// The same by moving; moved from only if the send happens.
  void send(T&& value) const { handle().send(value); }

  /// Sends unless `ctx` is done first.
  /// Cancel  throws std::system_error with the context's error; nothing was sent or moved from.
  void send(const context& ctx, const T& value) const
    requires std::is_copy_constructible_v<T>
  {
    std::error_code ec;
    handle().send(ctx, value, ec);
    throw_if(ec);
  }
  /// The same by moving.
  void send(const context& ctx, T&& value) const {
    std::error_code ec;
    handle().send(ctx, value, ec);
    throw_if(ec);
  }
  /// The same, reporting the context's error in `ec`. False: not sent.
  bool send(const context& ctx, const T& value, std::error_code& ec) const
    requires std::is_copy_constructible_v<T>
  {
    return handle().send(ctx, value, ec);
  }
  /// The same by moving.
  bool send(const context& ctx, T&& value, std::error_code& ec) const {
    return handle().send(ctx, value, ec);
  }

  /// Sends if that is possible at once. False: it would block, as always on a nil channel; nothing
  /// was copied or moved. Never blocks.
  /// Errors  closed_channel; what copying or moving T throws.
  [[nodiscard]] bool try_send(const T& value) const
    requires std::is_copy_constructible_v<T>
  {
    return handle().try_send(value);
  }
  /// The same by moving; moved from only if it gives true.
  [[nodiscard]] bool try_send(T&& value) const { return handle().try_send(std::move(value)); }

  /// No more values will be sent: receivers get what is buffered, then the end. Wakes everybody who
  /// waits; blocked senders throw closed_channel. Never blocks.
  /// Errors  closed_channel when closed already, nil_channel on a nil channel.
  /// Order   synchronizes with every receive that finds the channel closed.
  void close() const { handle().close(); }

 private:
  const chan_handle<T>& handle() const noexcept { return static_cast<const Self*>(this)->handle_; }
};

/// What a handle that may receive offers.
template <class Self, class T>
class receiving {
 public:
  /// Receives the oldest value; nullopt when the channel is closed and drained.
  /// Blocks  until a value comes or the channel is closed; on a nil channel for ever.
  /// Errors  what moving T throws; the value stays in the channel then.
  /// Threads any fiber or thread. Blocked receivers are served first come, first served.
  [[nodiscard]] std::optional<T> recv() const { return handle().recv(); }

  /// Receives unless `ctx` is done first.
  /// Cancel  throws std::system_error with the context's error; nothing was received.
  [[nodiscard]] std::optional<T> recv(const context& ctx) const {
    std::error_code ec;
    std::optional<T> out = handle().recv(ctx, ec);
    throw_if(ec);
    return out;
  }
  /// The same, reporting the context's error in `ec`; nullopt then, or when closed and drained.
  [[nodiscard]] std::optional<T> recv(const context& ctx, std::error_code& ec) const {
    return handle().recv(ctx, ec);
  }

  /// A value if one is there; nullopt: it would block, or closed and drained. Never blocks.
  /// Errors  what moving T throws; the value stays in the channel then.
  [[nodiscard]] std::optional<T> try_recv() const {
    std::optional<T> out;
    handle().try_recv_into(out);
    return out;
  }
  /// The same into `out`, which is assigned only on `ok`; tells the two other cases apart.
  /// Errors  the same; what assigning throws loses the value.
  [[nodiscard]] recv_status try_recv(T& out) const {
    std::optional<T> value;
    const recv_status status = handle().try_recv_into(value);
    if (status == recv_status::ok) out = std::move(*value);
    return status;
  }

  /// True once close() was called, also while values are left.
  [[nodiscard]] bool is_closed() const noexcept { return handle().is_closed(); }

  /// Receives in a range-for until the channel is closed and drained.
  class iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    iterator() = default;
    explicit iterator(const chan_handle<T>& from) : from_(&from), value_(from.recv()) {}
    T& operator*() const noexcept { return *value_; }
    iterator& operator++() {
      value_.reset();
      value_ = from_->recv();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
      return !it.value_.has_value();
    }

   private:
    const chan_handle<T>* from_ = nullptr;
    mutable std::optional<T> value_;
  };
  /// Receives the first value.
  /// Blocks  as recv(), and so does each step.
  [[nodiscard]] iterator begin() const { return iterator(handle()); }
  /// The end: closed and drained.
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  const chan_handle<T>& handle() const noexcept { return static_cast<const Self*>(this)->handle_; }
};

/// What every handle offers.
template <class Self, class T>
class chan_observers {
 public:
  /// Values in the buffer; blocked senders do not count. 0 for nil and unbuffered channels.
  [[nodiscard]] std::size_t size() const noexcept { return handle().size(); }
  /// The capacity it was made with; 0 for nil.
  [[nodiscard]] std::size_t capacity() const noexcept { return handle().capacity(); }
  /// False: the nil channel, on which every operation blocks for ever.
  explicit operator bool() const noexcept { return handle().get() != nullptr; }
  friend bool operator==(const Self& a, const Self& b) noexcept {
    const chan_observers& x = a;
    const chan_observers& y = b;
    return x.handle().get() == y.handle().get();
  }

 private:
  const chan_handle<T>& handle() const noexcept { return static_cast<const Self*>(this)->handle_; }
};

}  // namespace detail

/// A shared handle to a channel of T; default-constructed it is the nil channel. Copies name the
/// same channel, which lives as long as any handle to it. T needs to be movable only.
///
/// A move or a destructor of T that runs inside an operation must not call the runtime.
template <class T>
class chan : public detail::chan_observers<chan<T>, T>,
             public detail::sending<chan<T>, T>,
             public detail::receiving<chan<T>, T> {
 public:
  using value_type = T;  ///< what it carries

  /// Nil.
  chan() noexcept = default;

 private:
  explicit chan(detail::chan_handle<T> handle) noexcept : handle_(std::move(handle)) {}

  friend detail::chan_access;
  friend detail::chan_observers<chan, T>;
  friend detail::sending<chan, T>;
  friend detail::receiving<chan, T>;
  friend send_chan<T>;
  friend recv_chan<T>;

  detail::chan_handle<T> handle_;
};

/// The sending end of a channel: what chan converts to, and not back.
template <class T>
class send_chan : public detail::chan_observers<send_chan<T>, T>,
                  public detail::sending<send_chan<T>, T> {
 public:
  using value_type = T;  ///< what it carries

  /// Nil.
  send_chan() noexcept = default;
  /// Another handle to the same channel.
  send_chan(const chan<T>& ch) noexcept : handle_(ch.handle_) {}
  /// Takes the handle over.
  send_chan(chan<T>&& ch) noexcept : handle_(std::move(ch.handle_)) {}

 private:
  friend detail::chan_access;
  friend detail::chan_observers<send_chan, T>;
  friend detail::sending<send_chan, T>;

  detail::chan_handle<T> handle_;
};

/// The receiving end of a channel: what chan converts to, and not back.
template <class T>
class recv_chan : public detail::chan_observers<recv_chan<T>, T>,
                  public detail::receiving<recv_chan<T>, T> {
 public:
  using value_type = T;  ///< what it carries

  /// Nil.
  recv_chan() noexcept = default;
  /// Another handle to the same channel.
  recv_chan(const chan<T>& ch) noexcept : handle_(ch.handle_) {}
  /// Takes the handle over.
  recv_chan(chan<T>&& ch) noexcept : handle_(std::move(ch.handle_)) {}

 private:
  explicit recv_chan(detail::chan_handle<T> handle) noexcept : handle_(std::move(handle)) {}

  friend detail::chan_access;
  friend detail::chan_observers<recv_chan, T>;
  friend detail::receiving<recv_chan, T>;

  detail::chan_handle<T> handle_;
};

/// Makes a channel that buffers up to `capacity` values; 0: a send waits for its receiver.
/// Errors  std::logic_error `makechan: size out of range` where the buffer is not representable,
///         std::bad_alloc where memory is refused.
template <class T>
[[nodiscard]] chan<T> make_chan(std::size_t capacity) {
  static_assert(std::is_move_constructible_v<T>, "weft::chan<T>: T must be movable");
  static_assert(std::is_object_v<T>, "weft::chan<T>: T must be an object type, not a reference");
  return detail::chan_access::adopt<chan<T>>(detail::channel<T>::make(capacity));
}

}  // namespace weft::inline WEFT_ABI
