// Signal subscriptions: one service thread hands the signals that were counted to the channels.
//
// Model       A signal is caught from its first subscription to the end of its last. The handler
//             counts (arch/signal_inbox.hpp); the service thread, which lives as long as there is
//             any subscription, takes the counts and sends to each channel that asked for the
//             signal. A subscription ends with its channel: the channel's type has a destroy of
//             ours.
// Invariants  I1 a signal is caught if and only if a subscription asks for it
//                (test "signals: the previous disposition comes back with the last channel's end")
//             I2 between two calls the thread runs if and only if there is a subscription
//                (test "signals: the service thread goes with the last channel")
// Ends        the thread holds no handle: it never destroys a channel, and never joins itself.
// Locks       `ends` orders beginnings and ends of subscriptions, and is held while the thread
//             starts and is joined; the thread never takes it. `listed` guards the list, and is
//             held while signals are sent: so a channel in the list is alive, even when its last
//             handle is gone already. ends < listed < chan.
// Order       pair deadlock.wakers: a subscription is counted with release when it begins, and
//             uncounted when the thread is gone; the deadlock check acquires.
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "weft/arch/signal_inbox.hpp"
#include "weft/arch/thread.hpp"
#include "weft/base/error.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/io.hpp"
#include "weft/sched/deadlock.hpp"

namespace weft::inline WEFT_ABI {

namespace detail {

namespace {

constexpr std::size_t signal_capacity = 16;

// A set of signals: bit n - 1 is signal n.
using signal_set = std::uint64_t;

signal_set set_of(int signal) noexcept { return signal_set{1} << (signal - 1); }

template <class F>
void for_each(signal_set signals, F f) {
  for (int signal = 1; signal <= last_signal; ++signal) {
    if ((signals & set_of(signal)) != 0) f(signal);
  }
}

struct subscription : list_node {
  channel<int>* to = nullptr;
  signal_set signals = 0;
};

class signal_service {
 public:
  // Lives for ever: a static channel may end after everything else.
  static signal_service& instance() {
    static signal_service& service = *new signal_service;
    return service;
  }

  // Throws with nothing changed.
  void begin(std::unique_ptr<subscription> s) {
    std::lock_guard ends(ends_);
    list_in(*s);
    try {
      catch_all(s->signals & ~caught_);
      if (!thread_.is_joinable()) start_thread();
    } catch (...) {
      list_out(*s);
      release_unwanted();
      throw;
    }
    external_wakers.fetch_add(1, release);  // pairs: deadlock.wakers
    static_cast<void>(s.release());         // the list's now
  }

  void end(const chan_core* ch) noexcept {
    std::lock_guard ends(ends_);
    subscription* s = subscriptions_.front();
    while (s->to != ch) s = subscriptions_.after(*s);
    list_out(*s);
    delete s;
    release_unwanted();
    if (subscriptions_.empty()) stop_thread();
    external_wakers.fetch_sub(1, release);  // pairs: deadlock.wakers
  }

 private:
  // The list changes under both locks, so that either is enough to read it.
  void list_in(subscription& s) noexcept {
    std::lock_guard listed(listed_);
    subscriptions_.push_back(s);
  }
  void list_out(subscription& s) noexcept {
    std::lock_guard listed(listed_);
    s.unlink();
  }

  template <class F>
  void for_each_subscription(F f) {
    for (subscription* s = subscriptions_.front(); s != nullptr; s = subscriptions_.after(*s))
      f(*s);
  }

  void catch_all(signal_set signals) {
    for_each(signals, [this](int signal) {
      if (const std::errc error = catch_signal(signal); error != std::errc{}) {
        throw_system_error(std::make_error_code(error), "notify_signals");
      }
      caught_ |= set_of(signal);
    });
  }
  void release_unwanted() noexcept {
    signal_set wanted = 0;
    for_each_subscription([&](const subscription& s) { wanted |= s.signals; });
    for_each(caught_ & ~wanted, release_signal);
    caught_ &= wanted;
  }

  void start_thread() {
    stopping_.store(false, relaxed);  // relaxed: starting the thread publishes it
    const thread_options options{.name = "weft-signals", .block_signals = true};
    const auto serve = [](void* self) noexcept -> void* {
      static_cast<signal_service*>(self)->serve();
      return nullptr;
    };
    if (const std::errc error = thread_.start(serve, this, options); error != std::errc{}) {
      throw_system_error(std::make_error_code(error), "notify_signals");
    }
    service_threads.fetch_add(1, relaxed);  // relaxed: counted while a subscription is
  }
  void stop_thread() noexcept {
    stopping_.store(true, relaxed);  // relaxed: the interrupt's semaphore orders it
    interrupt_signal_wait();
    thread_.join();
    service_threads.fetch_sub(1, relaxed);  // relaxed: counted while a subscription is
  }

  void serve() {
    for (;;) {
      wait_for_signals();
      if (stopping_.load(relaxed)) return;  // relaxed: see stop_thread
      std::lock_guard listed(listed_);
      for (int signal = 1; signal <= last_signal; ++signal) {
        for (std::uint32_t n = take_signal_count(signal); n != 0; --n) deliver(signal);
      }
    }
  }
  void deliver(int signal) {
    for_each_subscription([signal](const subscription& s) {
      if ((s.signals & set_of(signal)) == 0) return;
      static_cast<void>(try_send_once(*s.to, signal));  // full: dropped, as promised
    });
  }

  std::mutex ends_;
  std::mutex listed_;
  list<subscription> subscriptions_;  // owned; changed under both locks
  signal_set caught_ = 0;             // guarded by ends_
  os_thread thread_;                  // guarded by ends_
  atomic<bool> stopping_{false};
};

// A channel of int that ends its subscription with its last handle.
const chan_type& subscribed_type() noexcept {
  static const chan_type type = [] {
    chan_type subscribed = channel<int>::type_of();
    subscribed.destroy = [](chan_core* ch) noexcept {
      signal_service::instance().end(ch);
      channel<int>::type_of().destroy(ch);
    };
    return subscribed;
  }();
  return type;
}

signal_set checked_set(std::initializer_list<int> signals) {
  if (signals.size() == 0) throw_invalid_argument("notify_signals: no signals given");
  signal_set all = 0;
  for (const int signal : signals) {
    if (!is_catchable(signal)) {
      const std::string what =
          "notify_signals: signal " + std::to_string(signal) + " can't be received";
      throw_invalid_argument(what.c_str());
    }
    all |= set_of(signal);
  }
  return all;
}

}  // namespace

}  // namespace detail

recv_chan<int> notify_signals(std::initializer_list<int> signals) {
  auto s = std::make_unique<detail::subscription>();
  s->signals = detail::checked_set(signals);
  s->to = detail::channel<int>::make(detail::signal_capacity);
  detail::channel<int>* ch = s->to;
  ch->move_to(detail::no_bubble);  // signals come from there
  auto handle = detail::chan_access::adopt<recv_chan<int>>(ch);
  detail::signal_service::instance().begin(std::move(s));
  ch->set_type(detail::subscribed_type());
  return handle;
}

}  // namespace weft::inline WEFT_ABI
