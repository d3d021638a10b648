// The typed part of a channel: the ring of T and the moves into it, out of it and from task to
// task.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/arch/slot.hpp"
#include "weft/base/planted.hpp"
#include "weft/chan/core.hpp"
#include "weft/chan/section.hpp"

namespace weft::inline WEFT_ABI::detail {

template <class T>
class channel final : public chan_core {
 public:
  using core = chan_core;

  // The channel and its buffer are one block, with `trailer` bytes behind them for whoever makes
  // it.
  static channel* make(std::size_t capacity, bool hides_buffer = false, std::size_t trailer = 0) {
    constexpr std::size_t limit = std::numeric_limits<std::ptrdiff_t>::max();
    if (capacity > (limit - buffer_offset) / sizeof(T)) throw_capacity_out_of_range();
    void* block = allocate(buffer_offset + capacity * sizeof(T) + trailer);
    return ::new (block) channel(capacity, hides_buffer);
  }

  // Aligned as T is. Not touched by the channel.
  [[nodiscard]] void* trailer() noexcept { return buffer() + capacity_; }

  // With the lock held. On false nothing was moved. `woken` is to be woken after unlocking.
  template <class U>
  bool try_send_locked(U&& value, waiter*& woken) {
    if (waiter* w = pop_claimed(receivers_)) {
      const bool is_select = !w->state->is_single();
      hand_over(receivers_, w, woken, *static_cast<std::optional<T>*>(w->slot),
                std::forward<U>(value));
      if (!is_planted(planted_bug::double_delivery) || !is_select || capacity_ == 0) return true;
    }
    const std::size_t n = count_locked();
    if (n == capacity_) return false;
    put(std::forward<U>(value));
    set_count(n + 1);
    return true;
  }

  // With the lock held. On false nothing was received; the channel may be closed.
  bool try_recv_locked(std::optional<T>& out, waiter*& woken) {
    const std::size_t n = count_locked();
    if (n == 0) {
      waiter* w = pop_claimed(senders_);
      if (w == nullptr) return false;
      T& value = *static_cast<T*>(w->slot);
      if (is_copied(*w)) {
        hand_over(senders_, w, woken, out, std::as_const(value));
      } else {
        hand_over(senders_, w, woken, out, std::move(value));
      }
      return true;
    }
    T& oldest = buffer()[head_];
    out.emplace(std::move(oldest));
    std::destroy_at(&oldest);
    head_ = next(head_);
    if (!refill(woken)) set_count(n - 1);
    return true;
  }

  static const chan_type& type_of() noexcept { return type; }

 private:
  channel(std::size_t capacity, bool hides_buffer) noexcept
      : chan_core(type, capacity, hides_buffer) {}
  ~channel() {
    for (std::size_t n = count_locked(); n != 0; --n) {
      std::destroy_at(buffer() + head_);
      head_ = next(head_);
    }
  }

  T* buffer() noexcept {
    return static_cast<T*>(
        static_cast<void*>(static_cast<std::byte*>(static_cast<void*>(this)) + buffer_offset));
  }
  [[nodiscard]] std::size_t next(std::size_t at) const noexcept {
    return at + 1 == capacity_ ? 0 : at + 1;
  }

  // Types that can't be copied have no second path.
  static bool is_copied(const waiter& w) noexcept {
    return std::is_copy_constructible_v<T> && w.copies;
  }

  // Moves (or copies) the value between the caller and the claimed waiter.
  template <class U>
  static void hand_over(wait_list& waiters, waiter* w, waiter*& woken, std::optional<T>& to,
                        U&& from) {
    if constexpr (std::is_nothrow_constructible_v<T, U&&>) {
      to.emplace(std::forward<U>(from));
    } else if constexpr (std::is_constructible_v<T, U&&>) {
      try {
        to.emplace(std::forward<U>(from));
      } catch (...) {
        give_back(waiters, w, woken);
        throw;
      }
    }
    w->ok = true;
    woken = w;
  }

  // A place in the full ring became free: the first blocked sender's value goes there. Where that
  // throws, the sender is told to try again, meets the exception itself, and the place is the next
  // one's. False: nobody has filled it.
  bool refill(waiter*& woken) noexcept {
    while (waiter* w = pop_claimed(senders_)) {
      w->next_woken = std::exchange(woken, w);
      T& value = *static_cast<T*>(w->slot);
      try {
        if (is_copied(*w)) {
          put(std::as_const(value));
        } else {
          put(std::move(value));
        }
        w->ok = true;
        return true;
      } catch (...) {
        w->retry = true;
      }
    }
    return false;
  }

  // Constructs a value in the slot at the tail. As a template, so that the copying path is only
  // compiled for types that can be copied.
  template <class U>
  void put(U&& value) {
    if constexpr (std::is_constructible_v<T, U&&>) {
      std::construct_at(buffer() + tail_, std::forward<U>(value));
      tail_ = next(tail_);
    }
  }

  static constexpr std::size_t alignment = alignof(T) > alignof(chan_core) ? alignof(T)
                                                                           : alignof(chan_core);
  // The aligned forms are much slower: glibc's have no thread cache.
  static constexpr bool is_over_aligned = alignment > __STDCPP_DEFAULT_NEW_ALIGNMENT__;

  static void* allocate(std::size_t size) {
    if constexpr (is_over_aligned) {
      return ::operator new(size, std::align_val_t{alignment});
    } else {
      return ::operator new(size);
    }
  }
  static void release(void* block) noexcept {
    if constexpr (is_over_aligned) {
      ::operator delete(block, std::align_val_t{alignment});
    } else {
      ::operator delete(block);
    }
  }

  static const chan_type type;
  static const std::size_t buffer_offset;
};

template <class T>
inline constexpr std::size_t channel<T>::buffer_offset =
    (sizeof(channel<T>) + alignof(T) - 1) / alignof(T) * alignof(T);

template <class T>
inline constexpr chan_type channel<T>::type{
    [](chan_core& ch, void* value, bool copies, waiter*& woken) {
      auto& self = static_cast<channel&>(ch);
      T& v = *static_cast<T*>(value);
      if constexpr (std::is_copy_constructible_v<T>) {
        if (copies) return self.try_send_locked(std::as_const(v), woken);
      }
      return self.try_send_locked(std::move(v), woken);
    },
    [](chan_core& ch, void* slot, waiter*& woken) {
      return static_cast<channel&>(ch).try_recv_locked(*static_cast<std::optional<T>*>(slot),
                                                       woken);
    },
    [](void* slot) noexcept { static_cast<std::optional<T>*>(slot)->reset(); },
    [](chan_core* ch) noexcept {
      auto* self = static_cast<channel*>(ch);
      self->~channel();
      release(self);
    },
};

// One try under the lock; a closed channel is told apart by `closed`.
template <class T, class U>
bool try_send_once(channel<T>& ch, U&& value) {
  chan_section section(ch);
  if (ch.is_closed_locked()) throw_send_on_closed();
  return ch.try_send_locked(std::forward<U>(value), section.woken);
}

// `U` is T, to be moved from, or const T, to be copied.
template <class T, class U>
void send_blocking(channel<T>& ch, U& value) {
  constexpr bool copies = std::is_const_v<U>;
  using passed_as = std::conditional_t<copies, const T&, T&&>;
  for (;;) {
    safepoint();
    chan_section section(ch);
    if (ch.is_closed_locked()) throw_send_on_closed();
    if (ch.try_send_locked(static_cast<passed_as>(value), section.woken)) return;
    section.disown();
    // A copied value is only read through its slot.
    void* slot = slot_of_read_only(std::addressof(value));
    switch (ch.park_sender(slot, copies)) {
      case chan_core::outcome::passed:
        return;
      case chan_core::outcome::closed:
        throw_send_on_closed();
      default:
        break;
    }
  }
}

// `out` stays empty: closed and drained.
template <class T>
void recv_blocking(channel<T>& ch, std::optional<T>& out) {
  for (;;) {
    safepoint();
    chan_section section(ch);
    if (ch.try_recv_locked(out, section.woken) || ch.is_closed_locked()) return;
    section.disown();
    if (ch.park_receiver(std::addressof(out)) != chan_core::outcome::retry) return;
  }
}

}  // namespace weft::inline WEFT_ABI::detail
