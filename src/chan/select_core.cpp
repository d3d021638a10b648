// The select operation; the protocol stands in weft/chan/select_core.hpp.
#include "weft/chan/select_core.hpp"

#include <algorithm>

#include "weft/base/planted.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

class selection {
 public:
  explicit selection(const select_memory& memory) noexcept : m_(memory) {}

  std::size_t run() {
    survey();
    for (;;) {
      safepoint();
      if (channel_count_ == 0 && !has_wake_sources() && default_ == none) {
        block_for_ever(m_.n == 0 ? wait_reason::select_no_cases : wait_reason::select);
      }
      std::size_t chosen = none;
      lock_all();
      if (poll_and_unlock(chosen)) return chosen;
      if (default_ != none) {
        unlock_all();
        return default_;
      }
      if (has_wake_sources()) unlock_all();
      if (wait(chosen)) return chosen;
    }
  }

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

  [[nodiscard]] bool has_wake_sources() const noexcept {
    return first_source_ != none || earliest_ != none;
  }

  // What there is to wait for. The channels' array becomes sorted, without repeats.
  void survey() {
    for (std::size_t i = 0; i < m_.n; ++i) {
      const select_item& item = m_.items[i];
      switch (item.what) {
        case select_item::kind::otherwise:
          if (default_ != none) throw_usage_error("select: multiple defaults in one list of cases");
          default_ = i;
          break;
        case select_item::kind::timer:
          if (item.due != never && (earliest_ == none || item.due < m_.items[earliest_].due))
            earliest_ = i;
          break;
        case select_item::kind::done:
          if (item.source != nullptr && first_source_ == none) first_source_ = i;
          break;
        default:
          if (item.channel != nullptr) {
            item.channel->refuse_outsider("select on");
            add_channel(item.channel);
          }
      }
    }
  }

  void add_channel(chan_core* channel) noexcept {
    // One channel needs no order: most selects with a default, a context or a deadline.
    std::size_t at = channel_count_;
    if (at != 0) {
      const std::uint64_t order = channel->order();
      while (at != 0 && m_.channels[at - 1]->order() > order) --at;
      if (at != 0 && m_.channels[at - 1] == channel) {
        has_duplicates_ = true;
        return;
      }
      std::copy_backward(m_.channels + at, m_.channels + channel_count_,
                         m_.channels + channel_count_ + 1);
    }
    m_.channels[at] = channel;
    ++channel_count_;
  }

  void lock_all() noexcept {
    for (std::size_t i = 0; i < channel_count_; ++i) m_.channels[i]->lock().lock();
  }
  void unlock_all() noexcept {
    for (std::size_t i = channel_count_; i != 0; --i) m_.channels[i - 1]->lock().unlock();
  }
  // The park commit: reads all that it needs before the last lock is released.
  static void unlock_in_commit(void* self) noexcept { static_cast<selection*>(self)->unlock_all(); }

  [[nodiscard]] bool is_ready(const select_item& item, std::int64_t now) const noexcept {
    switch (item.what) {
      case select_item::kind::recv:
        return item.channel != nullptr && item.channel->is_recv_ready();
      case select_item::kind::send:
        return item.channel != nullptr && item.channel->is_send_ready();
      case select_item::kind::done:
        return item.source != nullptr && item.source->is_fired();
      case select_item::kind::timer:
        return item.due <= now;
      case select_item::kind::otherwise:
        return false;
    }
    return false;
  }

  // Picks one of the ready cases, each with the same probability: the k-th one found replaces the
  // pick with probability 1/k.
  [[nodiscard]] std::size_t pick(std::int64_t now) noexcept {
    std::size_t picked = none;
    std::uint32_t found = 0;
    for (std::size_t i = 0; i < m_.n; ++i) {
      if (!is_ready(m_.items[i], now)) continue;
      if (++found == 1 || choose_below(found) == 0) picked = i;
    }
    return picked;
  }

  // With all locks held. True: a case was carried out and the locks are released. Another source
  // may fire the task that a case would meet just before it is claimed: then it looks again.
  bool poll_and_unlock(std::size_t& chosen) {
    const std::int64_t now = earliest_ == none ? 0 : now_ns();
    for (;;) {
      const std::size_t i = pick(now);
      if (i == none) return false;
      waiter* woken = nullptr;
      bool done = false;
      try {
        done = carry_out(m_.items[i], woken);
      } catch (...) {
        unlock_all();
        wake_chained(woken);
        throw;
      }
      if (!done) continue;
      unlock_all();
      wake_chained(woken);
      chosen = i;
      return true;
    }
  }

  static bool carry_out(const select_item& item, waiter*& woken) {
    chan_core* ch = item.channel;
    if (item.what == select_item::kind::recv) {
      if (ch->type().try_recv(*ch, item.slot, woken)) return true;
      if (!ch->is_closed_locked()) return false;
      ch->type().clear(item.slot);
      return true;
    }
    if (item.what == select_item::kind::send) {
      if (ch->is_closed_locked()) throw_send_on_closed();
      return ch->type().try_send(*ch, item.slot, item.copies, woken);
    }
    return true;
  }

  // Nothing was ready: enrols and parks. The channels are locked, unless there is a deadline or a
  // context to arm first. False: begin again.
  bool wait(std::size_t& chosen) {
    multi_wait state(wait_reason::select, m_.places, static_cast<std::uint32_t>(m_.n));
    if (has_wake_sources()) {
      if (!arm(state)) return false;
      lock_all();
      if (poll_and_unlock(chosen)) return true;
    }
    for (std::size_t i = 0; i < channel_count_; ++i) state.meets(m_.channels[i]->bubble());
    enrol();
    chosen = channel_count_ != 0 ? state.park(unlock_in_commit, this) : state.park();
    state.detach();
    if (is_planted(planted_bug::wrong_select_claim)) chosen = (chosen + 1) % m_.n;
    return finish(chosen);
  }

  [[nodiscard]] bool arm(multi_wait& state) {
    for (std::size_t i = 0; i < m_.n; ++i) {
      const select_item& item = m_.items[i];
      if (item.what != select_item::kind::done || item.source == nullptr) continue;
      waiter& place = m_.places[i];
      place.state = &state;
      place.index = static_cast<std::uint32_t>(i);
      if (!item.source->enrol(place)) return false;
    }
    if (earliest_ != none) {
      state.arm_deadline(m_.items[earliest_].due, static_cast<std::uint32_t>(earliest_));
    }
    return true;
  }

  void enrol() noexcept {
    if (!has_duplicates_) {
      for (std::size_t i = 0; i < m_.n; ++i) enrol(i);
      return;
    }
    // A random cyclic order would favour some duplicates: each next one is drawn from the rest.
    // `ok` marks those that are done; nobody else looks at it before the locks are released.
    for (std::size_t left = m_.n; left != 0; --left) {
      std::size_t skip = choose_below(static_cast<std::uint32_t>(left));
      std::size_t i = 0;
      while (m_.places[i].ok || skip-- != 0) ++i;
      m_.places[i].ok = true;
      enrol(i);
    }
    for (std::size_t i = 0; i < m_.n; ++i) m_.places[i].ok = false;
  }

  void enrol(std::size_t i) noexcept {
    const select_item& item = m_.items[i];
    if (item.channel == nullptr) return;
    waiter& place = m_.places[i];
    place.guard = &item.channel->lock();
    place.slot = item.slot;
    place.copies = item.copies;
    place.index = static_cast<std::uint32_t>(i);
    (item.what == select_item::kind::recv ? item.channel->receivers() : item.channel->senders())
        .push_back(place);
  }

  // What the claim of case i means. False: begin again, with fresh places.
  bool finish(std::size_t i) {
    const select_item& item = m_.items[i];
    waiter& place = m_.places[i];
    if (item.channel != nullptr && !place.ok) {
      if (place.retry) {
        for (std::size_t k = 0; k < m_.n; ++k) m_.places[k] = waiter{};
        return false;
      }
      if (item.what == select_item::kind::send) throw_send_on_closed();
      item.channel->type().clear(item.slot);
    }
    return true;
  }

  select_memory m_;
  std::size_t channel_count_ = 0;
  std::size_t default_ = none;
  std::size_t earliest_ = none;      // the timer case that is due first
  std::size_t first_source_ = none;  // there is a context to watch
  bool has_duplicates_ = false;
};

}  // namespace

std::size_t run_select(const select_memory& memory) { return selection(memory).run(); }

}  // namespace weft::inline WEFT_ABI::detail
