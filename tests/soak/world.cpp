// The random steps of a round's fibers and threads.
#include "soak/world.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/process.hpp"
#include "weft/error.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

namespace soak {

namespace {

using std::chrono::microseconds;

microseconds some_time(test::random& r, unsigned most) { return microseconds(r.below(most)); }

// Enters a critical section's books at its begin and leaves them at its end, also by unwinding.
class section {
 public:
  section(ledger& book, long& entered, long& left) : book_(book), entered_(entered), left_(left) {
    book_.check(entered_ == left_, "two are in one critical section");
    ++entered_;
  }
  section(const section&) = delete;
  section& operator=(const section&) = delete;
  ~section() {
    ++left_;
    book_.check(entered_ == left_, "two were in one critical section");
  }

 private:
  ledger& book_;
  long& entered_;
  long& left_;
};

WEFT_NOINLINE unsigned recurse(unsigned depth) {
  volatile char frame[512];
  for (char volatile& c : frame) c = static_cast<char>(depth);
  if (depth == 0) {
    weft::yield();
    return 0;
  }
  const unsigned below = recurse(depth - 1);
  return below + (frame[100] == static_cast<char>(depth) ? 1U : 0U);
}

}  // namespace

world::world(ledger& b, const rules& r, std::uint64_t seed)
    : book(b),
      allowed(r),
      scopes_{weft::with_cancel({}), weft::with_cancel({}), weft::with_cancel({})},
      threads_left_(r.is_seeded ? 0 : 6),
      hogs_left_(r.has_hogs ? 4 : 0) {
  test::random random(seed, 1);
  for (auto& ch : channels_) ch = weft::make_chan<token>(random.below(4));
}

void world::start_walk(std::uint64_t seed, unsigned depth) {
  auto body = [this, seed, depth, alive = counted(book.bodies_alive)] { walk(seed, depth); };
  if (allowed.is_cut_short) {
    weft::go(std::move(body));
  } else {
    walkers.go(std::move(body));
  }
}

void world::walk(std::uint64_t seed, unsigned depth) {
  const counted alive(book.runs_alive);
  test::random r(seed, 2);
  const std::uint64_t steps = 1 + r.below(30);
  for (std::uint64_t i = 0; i < steps; ++i) step(r, depth);
  if (r.below(16) == 0) weft::exit_fiber();
}

void world::walk_as_thread(std::uint64_t seed) {
  test::random r(seed, 3);
  const std::uint64_t steps = 1 + r.below(30);
  for (std::uint64_t i = 0; i < steps; ++i) thread_step(r);
}

void world::drain() {
  for (auto& ch : channels_) {
    while (std::optional<token> t = ch.try_recv()) take(std::move(t));
  }
}

void world::step(test::random& r, unsigned depth) {
  const std::uint64_t what = r.below(32);
  book.step(what);
  switch (what) {
    case 0:
    case 1:
      if (depth != 0) start_walk(r.next(), depth - 1);
      return;
    case 2:
    case 3:
      return join_child(r, depth);
    case 4:
    case 5:
    case 6:
      return send_one(r);
    case 7:
    case 8:
    case 9:
      return receive_one(r);
    case 10:
    case 11:
    case 12:
      return select_some(r);
    case 13:
      return select_many(r);
    case 14:
      return close_one(r);
    case 15:
      return cancel_one(r);
    case 16:
      return use_mutex(r);
    case 17:
      return use_rw_mutex(r);
    case 18:
      return use_semaphore(r);
    case 19:
      return use_cond(r);
    case 20:
      return sleep_some(r);
    case 21:
    case 22:
      return use_timers(r);
    case 23:
      return keep_errno(r);
    case 24:
      return keep_exceptions(r);
    case 25:
      return join_thread(r);
    case 26:
      return compute(r);
    case 27:
      return change_procs(r);
    case 28:
      return pin(r);
    case 29:
      return block(r);
    case 30:
      return go_deep(r);
    default:
      return keep_local(r);
  }
}

void world::thread_step(test::random& r) {
  book.step(100);
  switch (r.below(6)) {
    case 0:
    case 1:
      return select_some(r);
    case 2:
      return select_many(r);
    case 3:
      return close_one(r);
    case 4: {
      if (!mutex_.try_lock_for(some_time(r, 1'000))) return;
      const std::lock_guard held(mutex_, std::adopt_lock);
      const section inside(book, in_mutex_.entered, in_mutex_.left);
      return;
    }
    default:
      weft::sleep_for(some_time(r, 300));
      return;
  }
}

// A context that is done before long, by its time or because somebody cancels it.
weft::cancelable_context world::limit(test::random& r) {
  weft::context parent;
  {
    const std::lock_guard held(slots_mutex_);
    parent = scopes_[r.below(scopes_.size())].ctx;
  }
  if (r.below(4) == 0) parent = weft::without_cancel(parent);
  return weft::with_timeout(parent, some_time(r, 2'000));
}

weft::chan<token> world::channel(test::random& r) {
  const std::lock_guard held(slots_mutex_);
  return channels_[r.below(channels_.size())];
}

token world::make_token(test::random& r) { return {book, r.next()}; }

void world::take(std::optional<token> t) {
  if (t) book.note_received(t->value);
}

void world::send_one(test::random& r) {
  weft::chan<token> ch = channel(r);
  token t = make_token(r);
  const std::uint64_t value = t.value;
  if (r.below(3) == 0) {
    try {
      if (ch.try_send(std::move(t))) book.note_sent(value);
    } catch (const weft::closed_channel&) {
      book.step(41);
    }
    return;
  }
  const auto [ctx, cancel] = limit(r);
  try {
    std::error_code ec;
    const bool done = ch.send(ctx, std::move(t), ec);
    if (done) book.note_sent(value);
    book.check(done == !ec, "a send has an error exactly if it did not send");
    book.step(40, done ? 1 : 0);
  } catch (const weft::closed_channel&) {
    book.step(41);
  }
}

void world::receive_one(test::random& r) {
  weft::chan<token> ch = channel(r);
  if (r.below(3) == 0) return take(ch.try_recv());
  const auto [ctx, cancel] = limit(r);
  std::error_code ec;
  std::optional<token> t = ch.recv(ctx, ec);
  book.check(!(t && ec), "a receive has a value or an error");
  book.step(42, t ? t->value : 0);
  take(std::move(t));
}

void world::select_some(test::random& r) {
  weft::chan<token> a = channel(r);
  weft::chan<token> b = channel(r);
  token t = make_token(r);
  const std::uint64_t value = t.value;
  const auto taken = [this](std::optional<token> got) { take(std::move(got)); };
  const auto passed = [this, value] { book.note_sent(value); };
  const auto time = some_time(r, 1'000);
  try {
    std::size_t chosen = 0;
    switch (r.below(4)) {
      case 0:
        chosen = weft::select(weft::recv(a, taken), weft::otherwise());
        break;
      case 1:
        chosen = weft::select(weft::recv(a, taken), weft::recv(b, taken), weft::timeout(time));
        break;
      case 2:
        chosen = weft::select(weft::send(a, std::move(t), passed), weft::recv(b, taken),
                              weft::timeout(time));
        break;
      default:
        chosen = weft::select(weft::recv(a, taken), weft::send(a, std::move(t), passed),
                              weft::recv(b, taken), weft::timeout(time));
        break;
    }
    book.step(43, chosen);
  } catch (const weft::closed_channel&) {
    book.step(41);
  }
}

void world::select_many(test::random& r) {
  const std::size_t n = 1 + r.below(6);
  std::vector<weft::chan<token>> channels;
  std::vector<std::optional<token>> slots(n);
  std::vector<weft::select_case> cases;
  for (std::size_t i = 0; i < n; ++i) {
    channels.push_back(channel(r));
    cases.push_back(weft::select_case::recv(channels.back(), slots[i]));
  }
  cases.push_back(weft::select_case::timeout(some_time(r, 1'000)));
  const std::size_t chosen = weft::select(cases);
  for (std::size_t i = 0; i < n; ++i) {
    book.check(i == chosen || !slots[i], "a select touched a case that it did not choose");
    take(std::move(slots[i]));
  }
  book.step(44, chosen);
}

// Another channel takes its place; what was in it is received by whoever is first.
void world::close_one(test::random& r) {
  weft::chan<token> fresh = weft::make_chan<token>(r.below(4));
  {
    const std::lock_guard held(slots_mutex_);
    std::swap(fresh, channels_[r.below(channels_.size())]);
  }
  fresh.close();
  while (std::optional<token> t = fresh.recv()) take(std::move(t));
  book.check(fresh.is_closed(), "a closed channel says so");
}

void world::cancel_one(test::random& r) {
  weft::cancelable_context fresh = weft::with_cancel({});
  {
    const std::lock_guard held(slots_mutex_);
    std::swap(fresh, scopes_[r.below(scopes_.size())]);
  }
  fresh.cancel();
  book.check(fresh.ctx.err() == weft::errc::canceled, "a cancelled context says so");
}

void world::use_mutex(test::random& r) {
  if (r.below(2) == 0) {
    std::error_code ec;
    const auto [ctx, cancel] = limit(r);
    if (!mutex_.lock(ctx, ec)) return book.step(45);
  } else {
    mutex_.lock();
  }
  const std::lock_guard held(mutex_, std::adopt_lock);
  const section inside(book, in_mutex_.entered, in_mutex_.left);
  if (r.below(2) == 0) weft::yield();
  if (r.below(4) == 0) weft::sleep_for(some_time(r, 100));
}

void world::use_rw_mutex(test::random& r) {
  if (r.below(3) == 0) {
    const std::lock_guard held(rw_mutex_);
    const section inside(book, in_rw_mutex_.entered, in_rw_mutex_.left);
    weft::yield();
    return;
  }
  const std::shared_lock held(rw_mutex_);
  const long before = in_rw_mutex_.entered;
  book.check(before == in_rw_mutex_.left, "a reader is in with a writer");
  if (r.below(2) == 0) weft::yield();
  book.check(before == in_rw_mutex_.entered, "a writer came in while a reader was there");
}

void world::use_semaphore(test::random& r) {
  const long n = 1 + static_cast<long>(r.below(places));
  std::error_code ec;
  const auto [ctx, cancel] = limit(r);
  if (!semaphore_.acquire(ctx, n, ec)) return book.step(46);
  struct release {
    world& w;
    long n;
    ~release() {
      w.inside_.fetch_sub(n);
      w.semaphore_.release(n);
    }
  } const at_end{*this, n};
  book.check(inside_.fetch_add(n) + n <= places, "a semaphore let too many in");
  if (r.below(2) == 0) weft::yield();
}

void world::use_cond(test::random& r) {
  std::unique_lock held(mutex_);
  if (r.below(2) == 0) {
    ++signals_;
    r.below(2) == 0 ? cond_.signal() : cond_.broadcast();
    return;
  }
  const long before = signals_;
  static_cast<void>(cond_.wait_for(held, some_time(r, 500), [&] { return signals_ != before; }));
  book.check(held.owns_lock(), "a condition's wait came back without the lock");
  const section inside(book, in_mutex_.entered, in_mutex_.left);
}

void world::sleep_some(test::random& r) {
  const auto time = some_time(r, 400);
  const auto begin = weft::clock::now();
  weft::sleep_for(time);
  const auto slept = weft::clock::now() - begin;
  book.check(slept >= time, "a sleep was too short");
  if (allowed.is_seeded) book.step(47, static_cast<std::uint64_t>(slept.count()));
}

void world::use_timers(test::random& r) {
  switch (r.below(5)) {
    case 0: {
      weft::timer t(some_time(r, 500));
      if (r.below(2) == 0) weft::sleep_for(some_time(r, 500));
      const bool was_pending = t.stop();
      const bool has_value = t.c().try_recv().has_value();
      book.check(!(was_pending && has_value), "a stopped timer still had its value");
      return book.step(48, was_pending ? 1 : 0);
    }
    case 1: {
      weft::timer t(some_time(r, 500));
      t.reset(some_time(r, 500));
      book.check(t.c().recv().has_value(), "a timer's channel gave nothing");
      return;
    }
    case 2: {
      // Called exactly once, unless the stop came first.
      book.calls_made.fetch_add(1);
      auto t = weft::after_func(some_time(r, 300),
                                [this, alive = std::make_shared<counted>(book.bodies_alive)] {
                                  book.calls_ended.fetch_add(1);
                                });
      if (r.below(2) == 0) {
        weft::sleep_for(some_time(r, 300));
        if (t.stop()) book.calls_ended.fetch_add(1);
      } else {
        t.detach();
        weft::sleep_for(microseconds(300));
      }
      return;
    }
    case 3: {
      weft::ticker t(microseconds(20 + r.below(100)));
      for (int i = 0; i < 3; ++i) book.check(t.c().recv().has_value(), "a ticker gave nothing");
      return;
    }
    default: {
      const auto outer = limit(r);
      const auto [ctx, cancel] = weft::with_cancel(outer.ctx);
      book.calls_made.fetch_add(1);
      const weft::stop_func stop =
          weft::after_func(ctx, [this, alive = std::make_shared<counted>(book.bodies_alive)] {
            book.calls_ended.fetch_add(1);
          });
      if (r.below(2) == 0) {
        cancel();
      } else if (stop()) {
        book.calls_ended.fetch_add(1);
      }
      return;
    }
  }
}

void world::keep_errno(test::random& r) {
  const int mine = static_cast<int>(1 + r.below(100));
  test::set_errno(mine);
  r.below(2) == 0 ? weft::yield() : weft::sleep_for(some_time(r, 100));
  book.check(test::errno_now() == mine, "errno changed while the fiber was parked");
}

void world::keep_exceptions(test::random& r) {
  const std::uint64_t mine = r.next();
  struct failure {
    std::uint64_t value;
  };
  try {
    throw failure{mine};
  } catch (const failure& outer) {
    try {
      weft::yield();
      throw std::runtime_error("inner");
    } catch (const std::runtime_error&) {
      weft::sleep_for(some_time(r, 200));
      book.check(std::uncaught_exceptions() == 0, "an exception of another fiber is in flight");
    }
    book.check(outer.value == mine, "a caught exception changed while the fiber was parked");
    try {
      std::rethrow_exception(std::current_exception());
    } catch (const failure& again) {
      book.check(again.value == mine, "another fiber's exception was rethrown");
    }
  }
}

void world::join_child(test::random& r, unsigned depth) {
  const std::uint64_t seed = r.next();
  std::uint64_t way = r.below(4);
  // Unwinding prints the exceptions that nobody is left to be told.
  if (way == 1 && allowed.is_cut_short) way = 0;
  weft::fiber_options options;
  if (r.below(4) == 0) options.stack_size = std::size_t{64} * 1024 << r.below(4);
  if (r.below(4) == 0) options.name = "child";
  auto child = weft::spawn(
      options, [this, seed, way, depth, alive = counted(book.bodies_alive)]() -> std::uint64_t {
        const counted run(book.runs_alive);
        test::random mine(seed, 4);
        for (std::uint64_t i = mine.below(3); i != 0 && depth != 0; --i) step(mine, depth - 1);
        if (way == 1) throw std::runtime_error(std::to_string(seed));
        if (way == 2) weft::exit_fiber();
        return seed;
      });
  if (r.below(8) == 0) {
    // An exception of a detached fiber would end the process.
    if (way != 1) return child.detach();
  }
  if (r.below(4) == 0) {
    std::error_code ec;
    const auto [ctx, cancel] = limit(r);
    static_cast<void>(child.wait(ctx, ec));
  }
  try {
    const std::uint64_t result = child.join();
    book.check(way != 1 && way != 2 && result == seed, "a join gave another result");
  } catch (const std::system_error& e) {
    book.check(way == 2 && e.code() == weft::errc::fiber_exited, "a join gave another error");
  } catch (const std::runtime_error& e) {
    book.check(way == 1 && e.what() == std::to_string(seed), "a join gave another exception");
  }
  book.step(49, way);
}

void world::join_thread(test::random& r) {
  if (threads_left_.fetch_sub(1) <= 0) return;
  std::jthread thread([this, seed = r.next()] { walk_as_thread(seed); });
  if (r.below(2) == 0) walk_as_thread(r.next());
  weft::blocking([&] { thread.join(); });
}

void world::compute(test::random& r) {
  if (allowed.is_seeded || hogs_left_.fetch_sub(1) <= 0) return;
  test::spin_for(microseconds(r.below(15'000)));
}

void world::change_procs(test::random& r) {
  if (allowed.is_seeded) return;
  const auto n = static_cast<unsigned>(1 + r.below(allowed.max_procs));
  const unsigned old = weft::set_procs(n);
  book.check(old >= 1 && old <= allowed.max_procs, "set_procs gave a number that nobody set");
}

void world::pin(test::random& r) {
  const weft::thread_pin pinned;
  const std::thread::id here = test::thread_now();
  for (std::uint64_t i = r.below(4); i != 0; --i) {
    switch (r.below(4)) {
      case 0:
        weft::yield();
        break;
      case 1:
        weft::sleep_for(some_time(r, 100));
        break;
      case 2:
        send_one(r);
        break;
      default:
        receive_one(r);
        break;
    }
    book.check(test::thread_now() == here, "a pinned fiber came back on another thread");
  }
}

void world::block(test::random& r) {
  if (r.below(2) == 0) {
    book.check(weft::blocking([] { return 7; }) == 7, "blocking gave another result");
  } else if (!allowed.is_seeded) {
    weft::blocking([] { ::poll(nullptr, 0, 1); });
  }
}

void world::go_deep(test::random& r) {
  const auto depth = static_cast<unsigned>(r.below(test::sanitized ? 10 : 40));
  book.check(recurse(depth) == depth, "a frame of a deep stack changed");
  const int answer = weft::on_system_stack([] { return 42; });
  book.check(answer == 42, "on_system_stack gave another result");
}

void world::keep_local(test::random& r) {
  const std::uint64_t mine = r.next();
  *local_ = mine;
  r.below(2) == 0 ? weft::yield() : weft::sleep_for(some_time(r, 50));
  book.check(*local_ == mine, "a fiber_local has another fiber's value");
}

}  // namespace soak
