// Select: waits for the first of several channel operations, contexts and deadlines.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "weft/chan.hpp"
#include "weft/chan/select_core.hpp"
#include "weft/time/clock.hpp"

namespace weft::inline WEFT_ABI {

namespace detail {

struct no_handler {
  void operator()() const noexcept {}
};

// A case knows its item for the core, and runs its handler once it was chosen.
template <class C>
concept select_argument = requires(std::remove_cvref_t<C>& c, select_item& item) {
  { c.fill(item) } noexcept;
  c.run();
  typename std::remove_cvref_t<C>::is_select_case;
};

template <class T, class H>
class recv_case {
 public:
  using is_select_case = void;
  static_assert(std::invocable<H&, std::optional<T>> || std::invocable<H&, T> || std::invocable<H&>,
                "weft::recv(ch, handler): the handler must take std::optional<T>, T or nothing");

  recv_case(channel<T>* ch, H handler) : channel_(ch), handler_(std::move(handler)) {}

  [[nodiscard]] bool was_unready() const noexcept {
    return channel_ == nullptr || channel_->was_empty_and_open();
  }
  void fill(select_item& item) noexcept {
    item.what = select_item::kind::recv;
    item.channel = channel_;
    item.slot = std::addressof(value_);
  }
  void run() {
    if constexpr (std::invocable<H&, std::optional<T>>) {
      handler_(std::move(value_));
    } else if constexpr (std::invocable<H&, T>) {
      if (value_) handler_(std::move(*value_));
    } else {
      handler_();
    }
  }

 private:
  channel<T>* channel_;
  std::optional<T> value_;
  H handler_;
};

// `V` is T, to be moved from, or const T, to be copied.
template <class T, class V, class H>
class send_case {
 public:
  using is_select_case = void;
  static_assert(std::invocable<H&>, "weft::send(ch, value, handler): the handler takes nothing");

  send_case(channel<T>* ch, V& value, H handler)
      : channel_(ch), value_(std::addressof(value)), handler_(std::move(handler)) {}

  [[nodiscard]] bool was_unready() const noexcept {
    return channel_ == nullptr || channel_->was_full_and_open();
  }
  void fill(select_item& item) noexcept {
    item.what = select_item::kind::send;
    item.channel = channel_;
    item.slot = slot_of_read_only(value_);
    item.copies = std::is_const_v<V>;
  }
  void run() { handler_(); }

 private:
  channel<T>* channel_;
  V* value_;
  H handler_;
};

// The same for a value that had to be converted to T first.
template <class T, class H>
class send_converted_case {
 public:
  using is_select_case = void;
  static_assert(std::invocable<H&>, "weft::send(ch, value, handler): the handler takes nothing");

  template <class V>
  send_converted_case(channel<T>* ch, V&& value, H handler)
      : channel_(ch), value_(std::forward<V>(value)), handler_(std::move(handler)) {}

  [[nodiscard]] bool was_unready() const noexcept {
    return channel_ == nullptr || channel_->was_full_and_open();
  }
  void fill(select_item& item) noexcept {
    item.what = select_item::kind::send;
    item.channel = channel_;
    item.slot = std::addressof(value_);
  }
  void run() { handler_(); }

 private:
  channel<T>* channel_;
  T value_;
  H handler_;
};

template <class H>
class default_case {
 public:
  using is_select_case = void;
  static_assert(std::invocable<H&>, "weft::otherwise(handler): the handler takes nothing");

  explicit default_case(H handler) : handler_(std::move(handler)) {}

  void fill(select_item& item) noexcept { item = {}; }
  void run() { handler_(); }

 private:
  H handler_;
};

template <class C>
inline constexpr bool is_default = false;
template <class H>
inline constexpr bool is_default<default_case<H>> = true;

// done, timeout, deadline: an item and a handler without arguments.
template <class H>
class plain_case {
 public:
  using is_select_case = void;
  static_assert(std::invocable<H&>, "weft::select: this case's handler takes nothing");

  plain_case(const select_item& item, H handler) : item_(item), handler_(std::move(handler)) {}

  void fill(select_item& item) noexcept { item = item_; }
  void run() { handler_(); }

 private:
  select_item item_;
  H handler_;
};

template <class H>
plain_case<std::decay_t<H>> make_plain_case(const select_item& item, H&& handler) {
  return {item, std::forward<H>(handler)};
}

template <class T>
channel<T>* channel_of(const chan<T>& ch) noexcept {
  return chan_access::core(ch);
}
template <class T>
channel<T>* channel_of(const recv_chan<T>& ch) noexcept {
  return chan_access::core(ch);
}
template <class T>
channel<T>* channel_of(const send_chan<T>& ch) noexcept {
  return chan_access::core(ch);
}

template <class C>
concept receiving_handle = requires(const C& c) {
  c.try_recv();
  typename C::value_type;
};
template <class C>
concept sending_handle = requires(const C& c) {
  c.close();
  typename C::value_type;
};

select_item timer_item(std::int64_t due) noexcept;
select_item done_item(cancel_source* source) noexcept;

template <std::size_t... I, class... C>
std::size_t select_static(std::index_sequence<I...>, C&... cases) {
  constexpr std::size_t n = sizeof...(C);
  std::array<select_item, n> items;
  std::array<waiter, n> places;
  std::array<chan_core*, n> channels;
  (cases.fill(items[I]), ...);
  const std::size_t chosen = run_select({items.data(), places.data(), channels.data(), n});
  ((chosen == I ? cases.run() : void()), ...);
  return chosen;
}

template <class C>
concept refusable = requires(const C& c) { c.was_unready(); };

// One channel and a default, as Go's selectnbrecv and selectnbsend: nothing is locked while there
// is nothing for us. With more channels the refusals would not be of one instant.
template <class A, class B>
std::size_t select_of_two(A& a, B& b) {
  if constexpr (refusable<A> && is_default<B>) {
    safepoint();
    if (a.was_unready()) {
      b.run();
      return 1;
    }
  } else if constexpr (is_default<A> && refusable<B>) {
    safepoint();
    if (b.was_unready()) {
      a.run();
      return 0;
    }
  }
  return select_static(std::index_sequence<0, 1>{}, a, b);
}

}  // namespace detail

/// A case that receives from `ch`. The handler may take a `std::optional<T>` (nullopt: closed and
/// drained), a `T` (then it runs only with a value), or nothing.
template <class C, class H = detail::no_handler>
  requires detail::receiving_handle<C>
[[nodiscard]] auto recv(const C& ch, H&& handler = {}) {
  using T = typename C::value_type;
  return detail::recv_case<T, std::decay_t<H>>(detail::channel_of(ch), std::forward<H>(handler));
}

/// A case that sends `value` on `ch`: an lvalue is copied, an rvalue moved, and only if this case
/// is chosen. If the channel is closed, being chosen throws closed_channel from select.
template <class C, class V, class H = detail::no_handler>
  requires detail::sending_handle<C>
[[nodiscard]] auto send(const C& ch, V&& value, H&& handler = {}) {
  using T = typename C::value_type;
  using Plain = std::remove_cvref_t<V>;
  static_assert(std::is_constructible_v<T, V&&>,
                "weft::send(ch, value): the value can't be made into the channel's element type");
  if constexpr (!std::is_same_v<Plain, T>) {
    return detail::send_converted_case<T, std::decay_t<H>>(
        detail::channel_of(ch), std::forward<V>(value), std::forward<H>(handler));
  } else if constexpr (std::is_lvalue_reference_v<V>) {
    return detail::send_case<T, const T, std::decay_t<H>>(detail::channel_of(ch), value,
                                                          std::forward<H>(handler));
  } else {
    return detail::send_case<T, T, std::decay_t<H>>(detail::channel_of(ch), value,
                                                    std::forward<H>(handler));
  }
}

/// A case that goes when `ctx` is cancelled or past its deadline.
template <class H = detail::no_handler>
[[nodiscard]] auto done(const context& ctx, H&& handler = {}) {
  return detail::make_plain_case(detail::done_item(detail::source_of(ctx)),
                                 std::forward<H>(handler));
}

/// A case that goes `duration` after it was made; zero or less is ready at once.
template <class Rep, class Period, class H = detail::no_handler>
[[nodiscard]] auto timeout(std::chrono::duration<Rep, Period> duration, H&& handler = {}) {
  return detail::make_plain_case(detail::timer_item(detail::due_after(detail::to_ns(duration))),
                                 std::forward<H>(handler));
}

/// A case that goes at `when` on weft::clock; time_point::max() is never.
template <class H = detail::no_handler>
[[nodiscard]] auto deadline(clock::time_point when, H&& handler = {}) {
  return detail::make_plain_case(detail::timer_item(detail::to_ns(when)), std::forward<H>(handler));
}

/// The default case: goes if and only if no other case is ready. With it select never blocks.
template <class H = detail::no_handler>
[[nodiscard]] auto otherwise(H&& handler = {}) {
  return detail::default_case<std::decay_t<H>>(std::forward<H>(handler));
}

/// Waits until one of the cases can go, carries it out, runs its handler and returns its index. Of
/// several ready cases one is chosen uniformly at random. Allocates nothing, but where a timer's
/// heap has to grow.
///
/// Blocks  until a case is ready; with otherwise() never; without any case for ever.
/// Errors  closed_channel when the chosen case sends on a closed channel; what a move or the
///         handler throws; std::logic_error for two defaults; std::bad_alloc where a deadline finds
///         no memory. The handler runs after the communication, in the calling fiber, no lock held.
/// Threads any fiber or thread.
/// Order   as the operation of the chosen case.
template <detail::select_argument... C>
std::size_t select(C&&... cases) {
  if constexpr (sizeof...(C) == 0) {
    return detail::run_select({nullptr, nullptr, nullptr, 0});
  } else if constexpr (sizeof...(C) == 2) {
    return detail::select_of_two(cases...);
  } else {
    return detail::select_static(std::index_sequence_for<C...>{}, cases...);
  }
}

/// One case of a list that is known at run time only. It refers to its channel, context and slot.
class select_case {
 public:
  /// Receives into `slot`, which is emptied where the channel is closed and drained.
  template <class C>
    requires detail::receiving_handle<C>
  [[nodiscard]] static select_case recv(const C& ch,
                                        std::optional<typename C::value_type>& slot) noexcept {
    detail::select_item item;
    item.what = detail::select_item::kind::recv;
    item.channel = detail::channel_of(ch);
    item.slot = std::addressof(slot);
    return select_case(item);
  }
  /// Moves from `slot` if chosen.
  template <class C>
    requires detail::sending_handle<C>
  [[nodiscard]] static select_case send(const C& ch, typename C::value_type& slot) noexcept {
    detail::select_item item;
    item.what = detail::select_item::kind::send;
    item.channel = detail::channel_of(ch);
    item.slot = std::addressof(slot);
    return select_case(item);
  }
  /// Goes when `ctx` is cancelled or past its deadline.
  [[nodiscard]] static select_case done(const context& ctx) noexcept {
    return select_case(detail::done_item(detail::source_of(ctx)));
  }
  /// Goes `d` after this call; zero or less is ready at once.
  template <class Rep, class Period>
  [[nodiscard]] static select_case timeout(std::chrono::duration<Rep, Period> d) noexcept {
    return select_case(detail::timer_item(detail::due_after(detail::to_ns(d))));
  }
  /// Goes at `when` on weft::clock; time_point::max() is never.
  [[nodiscard]] static select_case deadline(clock::time_point when) noexcept {
    return select_case(detail::timer_item(detail::to_ns(when)));
  }
  /// Goes if and only if no other case is ready.
  [[nodiscard]] static select_case otherwise() noexcept { return select_case({}); }

 private:
  friend std::size_t select(std::span<select_case> cases);

  explicit select_case(const detail::select_item& item) noexcept : item_(item) {}

  detail::select_item item_;
};

/// Select over a list of cases made at run time; the same rules, no handlers.
/// Errors  std::logic_error for two defaults in the list, std::bad_alloc, else as above.
std::size_t select(std::span<select_case> cases);

}  // namespace weft::inline WEFT_ABI
