// The small programs that are explored, with their reference models.
#include "testing/scenarios.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/group.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace test::scenario {

namespace {

using namespace std::chrono_literals;

void expect(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

// A number below n that only the run's seed decides: which of n ready cases a select takes.
std::size_t draw(std::size_t n) {
  weft::chan<weft::unit> ready = weft::make_chan<weft::unit>();
  ready.close();
  std::vector<std::optional<weft::unit>> slots(n);
  std::vector<weft::select_case> cases;
  for (auto& slot : slots) cases.push_back(weft::select_case::recv(ready, slot));
  return weft::select(cases);
}

template <class F>
std::vector<weft::join_handle<void>> spawn_all(int n, F f) {
  std::vector<weft::join_handle<void>> all;
  for (int i = 0; i < n; ++i) all.push_back(weft::spawn([f, i] { f(i); }));
  return all;
}

void join_all(std::vector<weft::join_handle<void>>& all) {
  for (auto& one : all) one.join();
}

// One operation on a channel: from when to when, and what came of it.
struct operation {
  bool sends = false;
  bool done = false;  // else it gave up, and had no effect
  int value = 0;
  int begin = 0;
  int end = 0;
};

// Whether the operations, each at some instant between its begin and its end, are those of a queue
// of that capacity (0: a send and the receive that takes its value happen together).
class linearization {
 public:
  linearization(std::vector<operation> history, std::size_t capacity)
      : history_(std::move(history)), capacity_(capacity), taken_(history_.size(), false) {}

  bool exists() { return place_next(0); }

 private:
  // No operation that ended before this one began is still to come.
  [[nodiscard]] bool may_be_next(std::size_t i) const {
    for (std::size_t k = 0; k < history_.size(); ++k)
      if (!taken_[k] && k != i && history_[k].end < history_[i].begin) return false;
    return true;
  }

  bool place_next(std::size_t placed) {
    if (placed == history_.size()) return true;
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if (taken_[i] || !may_be_next(i)) continue;
      taken_[i] = true;
      if (place(i, placed)) return true;
      taken_[i] = false;
    }
    return false;
  }

  bool place(std::size_t i, std::size_t placed) {
    const operation& o = history_[i];
    if (!o.done) return place_next(placed + 1);
    if (capacity_ == 0) return o.sends && meet(o, placed);
    if (o.sends) {
      if (queue_.size() == capacity_) return false;
      queue_.push_back(o.value);
      if (place_next(placed + 1)) return true;
      queue_.pop_back();
      return false;
    }
    if (queue_.empty() || queue_.front() != o.value) return false;
    queue_.pop_front();
    if (place_next(placed + 1)) return true;
    queue_.push_front(o.value);
    return false;
  }

  bool meet(const operation& send, std::size_t placed) {
    for (std::size_t k = 0; k < history_.size(); ++k) {
      const operation& o = history_[k];
      if (taken_[k] || o.sends || !o.done || o.value != send.value || !may_be_next(k)) continue;
      taken_[k] = true;
      if (place_next(placed + 2)) return true;
      taken_[k] = false;
    }
    return false;
  }

  std::vector<operation> history_;
  std::size_t capacity_;
  std::vector<bool> taken_;
  std::deque<int> queue_;
};

// Senders wait a little before they give up, or not at all; what they sent has to be received.
class channel_user {
 public:
  channel_user(weft::chan<int> ch, std::vector<operation>& history, int& now)
      : ch_(std::move(ch)), history_(history), now_(now) {}

  void send(int value) {
    operation o;
    o.sends = true;
    o.value = value;
    o.begin = ++now_;
    switch (draw(3)) {
      case 0:
        o.done = ch_.try_send(value);
        break;
      case 1: {
        auto [ctx, cancel] = weft::with_timeout({}, 1ms);
        std::error_code ec;
        o.done = ch_.send(ctx, value, ec);
        break;
      }
      default:
        o.done = weft::select(weft::send(ch_, value), weft::timeout(1ms)) == 0;
    }
    o.end = ++now_;
    history_.push_back(o);
  }

  void receive() {
    operation o;
    o.begin = ++now_;
    std::optional<int> value;
    switch (draw(3)) {
      case 0:
        value = ch_.try_recv();
        break;
      case 1: {
        auto [ctx, cancel] = weft::with_timeout({}, 1ms);
        std::error_code ec;
        value = ch_.recv(ctx, ec);
        break;
      }
      default:
        weft::select(weft::recv(ch_, [&](std::optional<int> got) { value = got; }),
                     weft::timeout(1ms));
    }
    o.end = ++now_;
    o.done = value.has_value();
    o.value = value.value_or(0);
    history_.push_back(o);
  }

 private:
  weft::chan<int> ch_;
  std::vector<operation>& history_;
  int& now_;
};

}  // namespace

void channel_history() {
  const std::size_t capacity = draw(3);
  std::vector<operation> history;
  int now = 0;
  const channel_user user(weft::make_chan<int>(capacity), history, now);
  auto all = spawn_all(4, [&](int i) {
    channel_user mine = user;
    for (int k = 0; k < 2; ++k) {
      if (i % 2 == 0) {
        mine.send(10 * i + k + 1);
      } else {
        mine.receive();
      }
    }
  });
  join_all(all);
  expect(linearization(history, capacity).exists(), "channel: no order explains what happened");
}

void select_delivers() {
  constexpr int each = 4;
  const std::array<weft::chan<int>, 2> ch{weft::make_chan<int>(draw(2)),
                                          weft::make_chan<int>(draw(2))};
  std::array<std::vector<int>, 2> got;
  auto producers = spawn_all(2, [&](int i) {
    for (int k = 0; k < each; ++k) ch[static_cast<std::size_t>(i)].send(100 * i + k);
    ch[static_cast<std::size_t>(i)].close();
  });
  std::array<weft::chan<int>, 2> open = ch;
  while (open[0] || open[1]) {
    std::array<std::optional<int>, 2> slots;
    std::array cases{weft::select_case::recv(open[0], slots[0]),
                     weft::select_case::recv(open[1], slots[1])};
    const std::size_t chosen = weft::select(cases);
    expect(!slots[1 - chosen], "select: a case that was not chosen has a value");
    if (!slots[chosen]) {
      expect(ch[chosen].is_closed(), "select: closed without having been");
      open[chosen] = {};
    } else {
      got[chosen].push_back(*slots[chosen]);
    }
  }
  join_all(producers);
  for (int i = 0; i < 2; ++i) {
    std::vector<int> sent;
    for (int k = 0; k < each; ++k) sent.push_back(100 * i + k);
    expect(got[static_cast<std::size_t>(i)] == sent, "select: not each value once, in order");
  }
}

void mutex_excludes() {
  weft::mutex m;
  bool inside = false;
  int times = 0;
  int expected = 0;
  const auto section = [&] {
    expect(!inside, "mutex: two at once");
    inside = true;
    weft::yield();
    expect(inside, "mutex: another one was inside");
    inside = false;
    ++times;
    m.unlock();
  };
  auto all = spawn_all(4, [&](int i) {
    for (int k = 0; k < 3; ++k) {
      if (i == 3 && draw(2) == 0) {
        if (!m.try_lock_for(1us)) continue;
      } else if (i == 2 && draw(2) == 0) {
        if (!m.try_lock()) continue;
      } else {
        m.lock();
      }
      ++expected;
      section();
    }
  });
  join_all(all);
  expect(times == expected && m.try_lock(), "mutex: still locked");
  m.unlock();
}

void rw_mutex_excludes() {
  weft::rw_mutex m;
  int readers = 0;
  int writers = 0;
  auto all = spawn_all(4, [&](int i) {
    for (int k = 0; k < 3; ++k) {
      if ((i + k) % 2 == 0) {
        const std::shared_lock held(m);
        ++readers;
        expect(writers == 0, "rw_mutex: a reader beside a writer");
        weft::yield();
        --readers;
      } else {
        std::unique_lock held(m, std::defer_lock);
        if (draw(2) == 0) {
          held.lock();
        } else if (!held.try_lock_for(1us)) {
          continue;
        }
        ++writers;
        expect(writers == 1 && readers == 0, "rw_mutex: a writer beside others");
        weft::yield();
        --writers;
      }
    }
  });
  join_all(all);
  expect(m.try_lock(), "rw_mutex: still locked");
  m.unlock();
}

void rw_mutex_lets_writers_in() {
  weft::rw_mutex m;
  std::vector<char> order;
  // In virtual time each of these milliseconds is one in which the others have blocked.
  auto first = weft::spawn([&] {
    const std::shared_lock held(m);
    weft::sleep_for(10ms);
  });
  auto writer = weft::spawn([&] {
    weft::sleep_for(1ms);
    const std::lock_guard held(m);
    order.push_back('w');
  });
  auto late = spawn_all(2, [&](int i) {
    weft::sleep_for(std::chrono::milliseconds(1 + static_cast<int>(draw(3)) + i));
    const std::shared_lock held(m);
    // One that comes in the writer's millisecond may be before it.
    if (weft::clock::now().time_since_epoch() > 1ms) order.push_back('r');
    weft::sleep_for(10ms);
  });
  first.join();
  writer.join();
  join_all(late);
  const auto w = std::find(order.begin(), order.end(), 'w');
  expect(std::find(order.begin(), w, 'r') == w, "rw_mutex: a reader has passed a waiting writer");
}

void semaphore_counts() {
  constexpr std::ptrdiff_t size = 3;
  weft::semaphore s(size);
  std::ptrdiff_t taken = 0;
  auto all = spawn_all(4, [&](int) {
    for (int k = 0; k < 3; ++k) {
      const auto n = static_cast<std::ptrdiff_t>(1 + draw(size));
      if (draw(3) == 0) {
        if (!s.try_acquire_for(1us, n)) continue;
      } else {
        s.acquire(n);
      }
      taken += n;
      expect(taken <= size, "semaphore: more units than there are");
      weft::yield();
      taken -= n;
      s.release(n);
    }
  });
  join_all(all);
  expect(s.try_acquire(size), "semaphore: units are lost");
}

void cond_hands_over() {
  weft::mutex m;
  weft::cond not_empty;
  weft::cond not_full;
  std::deque<int> queue;
  std::vector<int> got;
  auto producers = spawn_all(2, [&](int i) {
    for (int k = 0; k < 3; ++k) {
      std::unique_lock held(m);
      not_full.wait(held, [&] { return queue.size() < 1; });
      queue.push_back(10 * i + k);
      not_empty.signal();
    }
  });
  auto consumers = spawn_all(2, [&](int) {
    for (int k = 0; k < 3; ++k) {
      std::unique_lock held(m);
      not_empty.wait(held, [&] { return !queue.empty(); });
      got.push_back(queue.front());
      queue.pop_front();
      not_full.signal();
    }
  });
  join_all(producers);
  join_all(consumers);
  std::sort(got.begin(), got.end());
  expect(got == std::vector<int>{0, 1, 2, 10, 11, 12}, "cond: not each item once");
}

void group_joins() {
  weft::group g;
  g.set_limit(2);
  int active = 0;
  int ended = 0;
  const std::size_t fails = draw(4);
  for (std::size_t i = 0; i < 4; ++i) {
    g.go([&, i](const weft::context& ctx) {
      expect(++active <= 2, "group: more than the limit");
      std::error_code ec;
      if (i != fails) weft::sleep_for(ctx, 1ms, ec);
      weft::yield();
      --active;
      ++ended;
      if (i == fails) throw std::out_of_range("the one that fails");
    });
  }
  bool has_thrown = false;
  try {
    g.wait();
  } catch (const std::out_of_range&) {
    has_thrown = true;
  }
  expect(has_thrown, "group: an exception is lost");
  expect(ended == 4 && active == 0, "group: wait has returned too early");
  expect(static_cast<bool>(g.context().err()), "group: its context is not cancelled");
}

void context_reaches_all() {
  auto [root, cancel] = weft::with_cancel({});
  auto [timed, cancel_timed] = weft::with_timeout(root, 1h);
  auto [leaf, cancel_leaf] = weft::with_cancel(timed);
  const std::array<weft::context, 3> contexts{root, timed, leaf};
  int called = 0;
  auto stop = weft::after_func(leaf, [&] { ++called; });
  bool is_cancelled = false;
  auto waiters = spawn_all(4, [&](int i) {
    const weft::context& above = contexts[static_cast<std::size_t>(i) % 3];
    auto [own, cancel_own] = weft::with_cancel(above);
    const weft::context& watched = draw(2) == 0 ? above : own;
    std::error_code ec;
    (void)weft::chan<int>().recv(watched, ec);
    expect(ec == weft::errc::canceled, "context: a wait has ended with another error");
    expect(own.err() == weft::errc::canceled || is_cancelled, "context: a child is not cancelled");
  });
  auto canceller = weft::spawn([&, &cancel_it = cancel] {
    for (std::size_t n = draw(6); n != 0; --n) weft::yield();
    cancel_it();
    is_cancelled = true;
    for (const weft::context& ctx : contexts)
      expect(ctx.err() == weft::errc::canceled, "context: one below is not cancelled");
  });
  const bool stopped = draw(2) == 0 && stop();
  join_all(waiters);
  canceller.join();
  weft::sleep_for(1ms);
  expect(called == (stopped ? 0 : 1), "context: the function ran not once, or though stopped");
}

void timer_keeps_its_word() {
  struct setting {
    weft::clock::time_point due;
    bool was_taken_back = false;
    int ticks = 0;
  };
  std::vector<setting> settings;
  weft::timer t(1h);
  bool is_over = false;
  auto receiver = weft::spawn([&] {
    while (!is_over) {
      std::optional<weft::clock::time_point> tick;
      weft::select(
          weft::recv(t.c(), [&](std::optional<weft::clock::time_point> got) { tick = got; }),
          weft::timeout(1ms));
      if (!tick) continue;
      const auto of = std::find_if(settings.begin(), settings.end(),
                                   [&](const setting& s) { return s.due == *tick; });
      expect(of != settings.end(), "timer: a tick that was never set");
      ++of->ticks;
      expect(weft::clock::now() >= *tick, "timer: a tick comes early");
    }
  });
  int calls = 0;
  int expected_calls = 0;
  for (int k = 1; k <= 4; ++k) {
    // No two are due at the same time.
    const auto delay = std::chrono::milliseconds(1 + draw(3)) + std::chrono::nanoseconds(k);
    const auto due = weft::clock::now() + delay;
    const bool was_pending = t.reset(delay);
    if (!settings.empty()) settings.back().was_taken_back = was_pending;
    settings.push_back({due});
    weft::timer f = weft::after_func(delay, [&] { ++calls; });
    weft::sleep_for(std::chrono::milliseconds(1 + draw(3)) + std::chrono::nanoseconds(draw(6)));
    if (!f.stop()) ++expected_calls;
  }
  weft::sleep_for(10ms);
  settings.back().was_taken_back = t.stop();
  is_over = true;
  receiver.join();
  for (const setting& s : settings)
    expect(s.ticks == (s.was_taken_back ? 0 : 1), "timer: a stale tick, or a lost one");
  expect(calls == expected_calls, "timer: a function ran though stopped, or not at all");
}

}  // namespace test::scenario
