// Channels without their element type: closing, waiting, waiting with a context.
#include "weft/chan/core.hpp"

#include <string>

#include "weft/chan/section.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// The order numbers of channels that take part in a select over several.
atomic<std::uint64_t> last_order{0};

constexpr std::uint32_t chan_by_channel = 0;
constexpr std::uint32_t chan_by_cancel = 1;

}  // namespace

std::uint64_t chan_core::order() noexcept {
  std::uint64_t number = order_.load(relaxed);  // relaxed: a number, nothing is published with it
  if (WEFT_LIKELY(number != 0)) return number;
  const std::uint64_t fresh = last_order.fetch_add(1, relaxed) + 1;  // relaxed: only unique
  // relaxed: whichever number wins is the channel's
  return order_.compare_exchange(number, fresh, relaxed) ? fresh : number;
}

void chan_core::refuse_outsider_slow(const char* what) const {
  if (bubble_ == bubble_of_caller()) return;
  const std::string text = std::string(what) + " synctest channel";
  throw_from_outside(text.c_str());
}

void chan_core::close() {
  woken_chain woken;
  {
    lock_guard held(lock_);
    if (is_closed_locked()) throw_closed_channel("close of closed channel");
    closed_.store(true, release);  // pairs: chan.count
    while (waiter* w = pop_claimed(receivers_)) woken.push_back(w);
    while (waiter* w = pop_claimed(senders_)) woken.push_back(w);
  }
  wake_all(woken);
}

void chan_core::give_back(wait_list& waiters, waiter* w, waiter*& woken) noexcept {
  if (w->state->is_single()) {
    waiters.push_front(*w);
  } else {
    w->retry = true;
    woken = w;
  }
}

namespace {

enum class direction : unsigned char { send, recv };

// One try with the lock held; `retry`: it would block.
chan_core::outcome try_locked(chan_core& ch, direction d, void* slot, bool copies, waiter*& woken) {
  if (d == direction::send) {
    if (ch.is_closed_locked()) return chan_core::outcome::closed;
    return ch.type().try_send(ch, slot, copies, woken) ? chan_core::outcome::passed
                                                       : chan_core::outcome::retry;
  }
  if (ch.type().try_recv(ch, slot, woken)) return chan_core::outcome::passed;
  return ch.is_closed_locked() ? chan_core::outcome::closed : chan_core::outcome::retry;
}

chan_core::outcome run_unless(chan_core& ch, direction d, cancel_source& source, void* slot,
                              bool copies) {
  const bool sends = d == direction::send;
  for (;;) {
    safepoint();
    if (source.is_fired()) return chan_core::outcome::cancelled;
    {
      chan_section section(ch);
      const auto outcome = try_locked(ch, d, slot, copies, section.woken);
      if (outcome != chan_core::outcome::retry) return outcome;
    }
    // The source must be watched before the channel's lock is taken: hence the second try.
    waiter place;
    multi_wait wait(sends ? wait_reason::chan_send : wait_reason::chan_receive, &place, 1);
    wait.meets(ch.bubble());
    place.guard = &ch.lock();
    place.slot = slot;
    place.copies = copies;
    place.index = chan_by_channel;
    if (!wait.watch(source, chan_by_cancel)) return chan_core::outcome::cancelled;
    chan_section section(ch);
    const auto outcome = try_locked(ch, d, slot, copies, section.woken);
    if (outcome != chan_core::outcome::retry) return outcome;
    (sends ? ch.senders() : ch.receivers()).push_back(place);
    section.disown();
    if (wait.park(ch.lock()) == chan_by_cancel) return chan_core::outcome::cancelled;
    if (!place.retry) return chan_core::outcome_of(place);
  }
}

}  // namespace

chan_core::outcome chan_core::send_unless(cancel_source& source, void* value, bool copies) {
  return run_unless(*this, direction::send, source, value, copies);
}

chan_core::outcome chan_core::recv_unless(cancel_source& source, void* slot) {
  return run_unless(*this, direction::recv, source, slot, false);
}

void block_until(cancel_source& source, wait_reason reason) {
  safepoint();
  multi_wait wait(reason, nullptr, 0);
  if (wait.watch(source, chan_by_cancel)) wait.park();
}

void block_for_ever(wait_reason reason) {
  safepoint();
  wait_state wait(wait_state::kind::single, reason, nullptr, 0);
  for (;;) wait.park();
}

void throw_send_on_closed() { throw_closed_channel("send on closed channel"); }
void throw_close_of_nil() { throw_nil_channel("close of nil channel"); }
void throw_capacity_out_of_range() { throw_usage_error("makechan: size out of range"); }

}  // namespace weft::inline WEFT_ABI::detail
