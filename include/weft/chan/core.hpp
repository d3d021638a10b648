// The untyped core of a channel: a lock, two wait lists and the counters of a ring.
//
// Model       As in Go's chan.go: a value goes straight to the longest waiting receiver, else into
//             the buffer, else its sender waits. The typed part (chan/channel.hpp) knows how to
//             move a value; everything that does not is here and in src/chan.
//             A receiver's waiter has its std::optional<T> as slot, a sender's the T to move or
//             copy from.
// Invariants  I1 receivers and senders never wait at the same time, stale places apart
//                                                               (test "chan I1")
//             I2 receivers wait only while the buffer is empty, senders only while it is full
//                                                               (test "chan I2")
//             I3 a closed channel has no waiters                (test "chan I3")
// Locks       rank chan. Held over the move of a value, which may not call the runtime; released by
//             a guard when a move throws. Several channels (select) are locked in order of their
//             creation numbers, which are given when a channel first takes part in such a select.
// Throwing    a move that throws leaves the value where it was. A waiter that was claimed for it
//             goes back to the front of its list; one that can't (a select's claim is final) is
//             woken with `retry` and begins again. So is a sender whose value could not be moved
//             into a place of the buffer that became free: the place goes to the next sender.
// Order       pair chan.count: count and closed are stored under the lock with release and read
//             without it, with acquire, by size() and by the quick refusals of try_recv and of a
//             select with a default: they read the count first and `closed` second; as `closed`
//             only ever becomes true, the channel was empty (full) and open at the moment of the
//             first read.
//             pair chan.refs: dropping a handle releases -> the last one acquires before it
//             destroys.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/cancel_source.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/test_world.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

class chan_core;

// What select and the runtime need of a channel's element type. The first two are called with the
// channel locked; they may throw what a move throws, with nothing changed.
struct chan_type {
  // Passes *value (a T), moved or copied, to a receiver or the buffer. `woken`, and whoever is
  // chained to it, is to be woken after unlocking.
  bool (*try_send)(chan_core& ch, void* value, bool copies, waiter*& woken);
  // Takes a value into *slot (an empty std::optional<T>).
  bool (*try_recv)(chan_core& ch, void* slot, waiter*& woken);
  // Empties *slot (a std::optional<T>). Needs no lock.
  void (*clear)(void* slot) noexcept;
  // Destroys and frees the channel; the last handle is gone.
  void (*destroy)(chan_core* ch) noexcept;
};

class chan_core {
 public:
  chan_core(const chan_type& type, std::size_t capacity, bool hides_buffer = false) noexcept
      : type_(&type),
        capacity_(capacity),
        hides_buffer_(hides_buffer),
        bubble_(bubble_of_caller()) {}
  chan_core(const chan_core&) = delete;
  chan_core& operator=(const chan_core&) = delete;

  void add_ref() noexcept { refs_.fetch_add(1, relaxed); }  // relaxed: the caller has a handle
  void drop_ref() noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) type_->destroy(this);  // pairs: chan.refs
  }

  // Timer channels have a buffer of one that nobody shall see.
  [[nodiscard]] std::size_t size() const noexcept {
    return hides_buffer_ ? 0 : count_.load(acquire);  // pairs: chan.count
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return hides_buffer_ ? 0 : capacity_; }
  [[nodiscard]] bool is_closed() const noexcept {
    return closed_.load(acquire);  // pairs: chan.count
  }
  // True: at one instant during the call the channel was open and had nothing to receive. False
  // says nothing. Only for buffered channels: an unbuffered one may have senders.
  [[nodiscard]] bool was_empty_and_open() const noexcept {
    return capacity_ != 0 && count_.load(acquire) == 0 &&  // pairs: chan.count
           !closed_.load(acquire);                         // pairs: chan.count
  }
  // The same for a send: there was no room.
  [[nodiscard]] bool was_full_and_open() const noexcept {
    return capacity_ != 0 && count_.load(acquire) == capacity_ &&  // pairs: chan.count
           !closed_.load(acquire);                                 // pairs: chan.count
  }

  // Throws closed_channel when closed already.
  void close();

  // The bubble in which it was made; no one else may use it.
  [[nodiscard]] bubble_id bubble() const noexcept { return bubble_; }
  // Before the channel is shared: whoever made it passes it on to `home`.
  void move_to(bubble_id home) noexcept { bubble_ = home; }
  // At the start of each operation that `what` names, as in "send on": throws std::logic_error
  // where the caller is not in the channel's bubble.
  void refuse_outsider(const char* what) const {
    if (WEFT_UNLIKELY(bubble_ != no_bubble)) refuse_outsider_slow(what);
  }

  spinlock& lock() noexcept { return lock_; }
  [[nodiscard]] const chan_type& type() const noexcept { return *type_; }
  // Before the channel is shared: its maker wants to know when the last handle goes. The new type's
  // destroy must end with that of the old one.
  void set_type(const chan_type& type) noexcept { type_ = &type; }

  // The number by which select orders locks; given at the first call.
  [[nodiscard]] std::uint64_t order() noexcept;

  // The following: with the lock held.

  [[nodiscard]] bool is_send_ready() noexcept {
    return is_closed_locked() || count_locked() < capacity_ || has_unclaimed(receivers_);
  }
  [[nodiscard]] bool is_recv_ready() noexcept {
    return count_locked() != 0 || is_closed_locked() || has_unclaimed(senders_);
  }
  [[nodiscard]] bool is_closed_locked() const noexcept {
    return closed_.load(relaxed);  // relaxed: under the lock
  }
  [[nodiscard]] std::size_t count_locked() const noexcept {
    return count_.load(relaxed);  // relaxed: under the lock
  }
  wait_list& receivers() noexcept { return receivers_; }
  wait_list& senders() noexcept { return senders_; }

  enum class outcome : unsigned char { passed, closed, cancelled, retry };

  // Park the caller with the lock held, which is released. Never `cancelled`.
  // Inlined, so that senders and receivers have the same frames below the caller's
  // (sched/switch_fiber.hpp).
  WEFT_ALWAYS_INLINE outcome park_receiver(void* slot);
  WEFT_ALWAYS_INLINE outcome park_sender(void* value, bool copies);
  [[nodiscard]] static outcome outcome_of(const waiter& w) noexcept {
    if (w.retry) return outcome::retry;
    return w.ok ? outcome::passed : outcome::closed;
  }

  // Not with the lock held: the whole operation, given up when `source` fires.
  outcome send_unless(cancel_source& source, void* value, bool copies);
  outcome recv_unless(cancel_source& source, void* slot);

 protected:
  ~chan_core() = default;

  WEFT_COLD void refuse_outsider_slow(const char* what) const;

  void set_count(std::size_t n) noexcept { count_.store(n, release); }  // pairs: chan.count

  // A claimed waiter whose value could not be moved: see "Throwing". `waiters` is the list it was
  // in.
  static void give_back(wait_list& waiters, waiter* w, waiter*& woken) noexcept;

  spinlock lock_;
  const chan_type* type_;
  std::size_t capacity_;
  std::size_t head_ = 0;  // the oldest value; guarded by lock_, as all that follows
  std::size_t tail_ = 0;  // the next free slot
  wait_list receivers_;
  wait_list senders_;
  atomic<std::size_t> count_{0};
  atomic<bool> closed_{false};
  bool hides_buffer_;
  bubble_id bubble_;
  atomic<std::uint32_t> refs_{1};
  atomic<std::uint64_t> order_{0};
};

chan_core::outcome chan_core::park_receiver(void* slot) {
  waiter place;
  wait_state wait(wait_state::kind::single, wait_reason::chan_receive, &place, 1);
  wait.meets(bubble_);
  place.guard = &lock_;
  place.slot = slot;
  receivers_.push_back(place);
  wait.park(lock_);
  return outcome_of(place);
}

chan_core::outcome chan_core::park_sender(void* value, bool copies) {
  waiter place;
  wait_state wait(wait_state::kind::single, wait_reason::chan_send, &place, 1);
  wait.meets(bubble_);
  place.guard = &lock_;
  place.slot = value;
  place.copies = copies;
  senders_.push_back(place);
  wait.park(lock_);
  return outcome_of(place);
}

// Parks for ever: an operation on the nil channel, a select without cases.
[[noreturn]] void block_for_ever(wait_reason reason);
// Parks until `source` fires.
void block_until(cancel_source& source, wait_reason reason);

[[noreturn]] void throw_send_on_closed();
[[noreturn]] void throw_close_of_nil();
[[noreturn]] void throw_capacity_out_of_range();

}  // namespace weft::inline WEFT_ABI::detail
