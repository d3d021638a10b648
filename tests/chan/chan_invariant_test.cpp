// The core of a channel under its lock, after each step of random sequences of operations: what it
// holds, and who waits.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/elements.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/chan.hpp"
#include "weft/chan/core.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/select.hpp"

using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;

namespace {

// What a look under the lock finds. `receivers` and `senders` can still be claimed, `stale` not.
struct view {
  std::size_t count = 0;
  std::size_t capacity = 0;
  bool closed = false;
  std::size_t receivers = 0;
  std::size_t senders = 0;
  std::size_t stale = 0;

  [[nodiscard]] std::string text() const {
    return std::to_string(count) + " of " + std::to_string(capacity) +
           (closed ? ", closed, " : ", open, ") + std::to_string(receivers) + " receivers, " +
           std::to_string(senders) + " senders, " + std::to_string(stale) + " stale";
  }
};

std::size_t count_unclaimed(weft::detail::wait_list& waiters, std::size_t& stale) {
  std::size_t n = 0;
  for (auto* w = waiters.front(); w != nullptr; w = waiters.after(*w)) {
    ++(w->state->is_claimed() ? stale : n);
  }
  return n;
}

template <class T>
view look_at(const chan<T>& ch) {
  weft::detail::chan_core& core = *weft::detail::chan_access::core(ch);
  weft::detail::lock_guard held(core.lock());
  view v;
  v.count = core.count_locked();
  v.capacity = core.capacity();
  v.closed = core.is_closed_locked();
  v.receivers = count_unclaimed(core.receivers(), v.stale);
  v.senders = count_unclaimed(core.senders(), v.stale);
  return v;
}

bool waits_on_one_side(const view& v) { return v.receivers == 0 || v.senders == 0; }

bool waits_with_reason(const view& v) {
  return (v.receivers == 0 || v.count == 0) && (v.senders == 0 || v.count == v.capacity) &&
         v.count <= v.capacity;
}

bool is_left_when_closed(const view& v) {
  return !v.closed || v.receivers + v.senders + v.stale == 0;
}

using invariant = bool (*)(const view&);

// A channel in the hands of fibers and threads that each do one operation; the main fiber looks.
class walk {
 public:
  walk(std::size_t capacity, invariant holds, std::uint64_t seed, std::uint64_t stream)
      : ch_(make_chan<int>(capacity)), holds_(holds), random_(seed, stream) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      look();
      for (std::uint64_t n = random_.below(4); n != 0; --n) {
        weft::yield();
        look();
      }
    }
    ch_.close();
    look();
    for (task& t : tasks_) {
      t.join();
      look();
    }
    CHECK(seen_waiting_);
  }

 private:
  void look() {
    const view v = look_at(ch_);
    seen_waiting_ = seen_waiting_ || v.receivers + v.senders != 0;
    INFO(v.text());
    REQUIRE(holds_(v));
  }

  void step() {
    switch (random_.below(8)) {
      case 0:
      case 1:
        start([](const chan<int>& ch, const weft::context&) { ch.send(1); });
        break;
      case 2:
      case 3:
        start([](const chan<int>& ch, const weft::context&) { static_cast<void>(ch.recv()); });
        break;
      case 4:
        start([](const chan<int>& ch, const weft::context& ctx) {
          std::error_code ec;
          static_cast<void>(ch.send(ctx, 1, ec));
        });
        break;
      case 5:
        start([wait = std::chrono::microseconds(random_.below(100))](const chan<int>& ch,
                                                                     const weft::context& ctx) {
          weft::select(weft::recv(ch), weft::recv(ch), weft::timeout(wait), weft::done(ctx));
        });
        break;
      case 6:
        if (random_.below(2) == 0) {
          static_cast<void>(ch_.try_send(1));
        } else {
          static_cast<void>(ch_.try_recv());
        }
        break;
      default:
        cancel_();
        std::tie(ctx_, cancel_) = weft::with_cancel(weft::context{});
        break;
    }
  }

  template <class F>
  void start(F f) {
    tasks_.emplace_back(random_.below(16) == 0 ? kind::thread : kind::fiber,
                        [f, ch = ch_, ctx = ctx_] {
                          try {
                            f(ch, ctx);
                          } catch (const weft::closed_channel&) {
                            return;  // as it has to be for a sender
                          }
                        });
  }

  chan<int> ch_;
  invariant holds_;
  test::random random_;
  weft::context ctx_;
  weft::cancel_function cancel_ = [] {};
  std::vector<task> tasks_;
  bool seen_waiting_ = false;
};
}  // namespace
