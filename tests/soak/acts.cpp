// The acts of the soak.
#include "soak/acts.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/process.hpp"
#include "weft/error.hpp"
#include "weft/group.hpp"
#include "weft/select.hpp"
#include "weft/singleflight.hpp"
#include "weft/time.hpp"

namespace soak {

namespace {

using std::chrono::microseconds;
using handles = std::vector<weft::join_handle<void>>;

void join_all(handles& all) {
  for (auto& h : all) h.join();
}

// Values through several stages come out complete and in order.
void run_pipeline(ledger& book, test::random& r) {
  const std::uint64_t stages = 1 + r.below(6);
  const std::uint64_t values = 1 + r.below(60);
  handles all;
  weft::chan<token> in = weft::make_chan<token>(r.below(3));
  all.push_back(weft::spawn([&book, in, values] {
    for (std::uint64_t i = 0; i < values; ++i) in.send(token(book, i));
    in.close();
  }));
  for (std::uint64_t s = 0; s < stages; ++s) {
    weft::chan<token> out = weft::make_chan<token>(r.below(3));
    all.push_back(weft::spawn([in, out] {
      for (token& t : in) out.send(std::move(t));
      out.close();
    }));
    in = out;
  }
  std::uint64_t next = 0;
  for (const token& t : in) book.check(t.value == next++, "a pipeline changed the order");
  book.check(next == values, "a pipeline lost a value");
  join_all(all);
}

// Several senders, each with a channel of its own, and one select over all.
void merge(ledger& book, test::random& r) {
  const std::size_t n = 1 + r.below(5);
  const std::uint64_t values = 1 + r.below(30);
  std::vector<weft::chan<std::uint64_t>> sources;
  handles all;
  for (std::size_t i = 0; i < n; ++i) {
    sources.push_back(weft::make_chan<std::uint64_t>(r.below(3)));
    all.push_back(weft::spawn([ch = sources.back(), values] {
      for (std::uint64_t k = 1; k <= values; ++k) ch.send(k);
      ch.close();
    }));
  }
  std::uint64_t sum = 0;
  while (!sources.empty()) {
    std::vector<std::optional<std::uint64_t>> slots(sources.size());
    std::vector<weft::select_case> cases;
    for (std::size_t i = 0; i < sources.size(); ++i)
      cases.push_back(weft::select_case::recv(sources[i], slots[i]));
    const std::size_t chosen = weft::select(cases);
    if (slots[chosen]) {
      sum += *slots[chosen];
    } else {
      sources.erase(sources.begin() + static_cast<std::ptrdiff_t>(chosen));
    }
  }
  book.check(sum == n * (values * (values + 1) / 2), "a merge lost or doubled a value");
  join_all(all);
}

// Two selects face to face: both may send and both may receive.
void face_to_face(ledger& book, test::random& r) {
  const std::uint64_t rounds = 1 + r.below(50);
  const auto a = weft::make_chan<std::uint64_t>();
  const auto b = weft::make_chan<std::uint64_t>();
  std::atomic<std::uint64_t> passed{0};
  const auto side = [&passed, a, b, rounds] {
    for (std::uint64_t i = 0; i < rounds; ++i)
      weft::select(weft::send(a, i, [&] { ++passed; }), weft::recv(b), weft::recv(a),
                   weft::send(b, i, [&] { ++passed; }));
  };
  auto other = weft::spawn(side);
  side();
  other.join();
  book.check(passed == rounds, "two selects did not pass one value a round");
}

void play_with_thread(ledger& book, test::random& r) {
  const std::uint64_t rounds = 1 + r.below(30);
  const auto there = weft::make_chan<std::uint64_t>(r.below(2));
  // So large that the thread never waits in it, for nobody may be left to receive.
  const auto back = weft::make_chan<std::uint64_t>(rounds);
  std::jthread thread([there, back] {
    while (const std::optional<std::uint64_t> n = there.recv()) back.send(*n + 1);
    back.close();
  });
  // By all ends, unwinding too: the thread must not wait for ever.
  struct close {
    const weft::chan<std::uint64_t>& ch;
    ~close() { ch.close(); }
  };
  {
    const close at_end{there};
    for (std::uint64_t i = 0; i < rounds; ++i) {
      there.send(i);
      book.check(back.recv() == i + 1, "a plain thread's answer is wrong");
    }
  }
  book.check(!back.recv(), "a plain thread's channel was not closed");
  weft::blocking([&] { thread.join(); });
}

void count_under_lock(ledger& book, test::random& r) {
  const std::uint64_t n = 2 + r.below(6);
  const std::uint64_t times = 1 + r.below(30);
  weft::mutex mutex;
  std::uint64_t count = 0;  // guarded by mutex
  weft::wait_group group;
  weft::once once;
  std::atomic<int> firsts{0};
  const bool yields = r.below(2) == 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    group.go([&] {
      once.call([&] { ++firsts; });
      for (std::uint64_t k = 0; k < times; ++k) {
        const std::lock_guard held(mutex);
        const std::uint64_t seen = count;
        if (yields) weft::yield();
        count = seen + 1;
      }
    });
  }
  group.wait();
  book.check(count == n * times, "a count under a mutex is wrong");
  book.check(firsts == 1, "once ran not once");
}

void meet_at_barrier(ledger& book, test::random& r) {
  const auto n = static_cast<std::ptrdiff_t>(2 + r.below(5));
  const std::uint64_t phases = 1 + r.below(6);
  weft::barrier barrier(n);
  weft::latch ready(n);
  std::vector<std::atomic<std::uint64_t>> at(static_cast<std::size_t>(n));
  handles all;
  for (std::size_t i = 0; i < at.size(); ++i) {
    all.push_back(weft::spawn([&, i] {
      ready.arrive_and_wait();
      for (std::uint64_t p = 1; p <= phases; ++p) {
        at[i] = p;
        barrier.arrive_and_wait();
        for (const auto& other : at)
          book.check(other == p || other == p + 1, "a barrier let somebody through early");
      }
    }));
  }
  join_all(all);
}

// The first failure cancels the others, all end, and wait tells it.
void fail_together(ledger& book, test::random& r) {
  const std::uint64_t n = 1 + r.below(6);
  const bool fails = r.below(2) == 0;
  std::atomic<std::uint64_t> ended{0};
  weft::group group;
  if (r.below(2) == 0) group.set_limit(1 + r.below(n));
  // The one that fails comes first: the limit may let only one run at a time.
  for (std::uint64_t i = 0; i < n; ++i) {
    group.go([&, i](const weft::context& ctx) {
      struct count {
        std::atomic<std::uint64_t>& n;
        ~count() { ++n; }
      } const at_end{ended};
      if (!fails) return weft::yield();
      if (i == 0) throw std::runtime_error("first");
      static_cast<void>(ctx.done().recv());
    });
  }
  bool failed = false;
  try {
    group.wait();
  } catch (const std::runtime_error& e) {
    failed = e.what() == std::string("first");
  }
  book.check(failed == fails, "a group told another end");
  book.check(ended == n, "a group's wait left a child behind");
}

// Everyone below is woken by the one cancellation.
void cancel_tree(ledger& book, test::random& r) {
  const std::uint64_t n = 1 + r.below(8);
  const auto root = weft::with_cancel({});
  std::atomic<std::uint64_t> canceled{0};
  handles all;
  for (std::uint64_t i = 0; i < n; ++i) {
    all.push_back(weft::spawn([&, i] {
      const auto own = weft::with_timeout(root.ctx, std::chrono::hours(1));
      const auto never = weft::make_chan<int>();
      std::error_code ec;
      switch (i % 4) {
        case 0:
          static_cast<void>(never.recv(own.ctx, ec));
          break;
        case 1:
          static_cast<void>(never.send(own.ctx, 1, ec));
          break;
        case 2:
          static_cast<void>(weft::select(weft::recv(never), weft::done(own.ctx)));
          break;
        default:
          static_cast<void>(own.ctx.done().recv());
          break;
      }
      if (own.ctx.err() == weft::errc::canceled) ++canceled;
    }));
  }
  if (r.below(2) == 0) weft::sleep_for(microseconds(r.below(200)));
  root.cancel();
  join_all(all);
  book.check(canceled == n, "a cancellation did not reach all below it");
}

void call_once_together(ledger& book, test::random& r) {
  weft::singleflight<int, int> flights;
  std::atomic<int> calls{0};
  handles all;
  const std::uint64_t n = 1 + r.below(6);
  for (std::uint64_t i = 0; i < n; ++i) {
    all.push_back(weft::spawn([&] {
      const auto flight = flights.run(1, [&] {
        ++calls;
        weft::sleep_for(microseconds(50));
        return 5;
      });
      book.check(flight.value == 5, "singleflight gave another value");
    }));
  }
  join_all(all);
  book.check(calls >= 1 && static_cast<std::uint64_t>(calls) <= n, "singleflight's calls");
}

// Many short fibers, among them some that leave early.
void start_many(ledger& book, test::random& r) {
  const std::uint64_t n = 1 + r.below(test::sanitized ? 60 : 300);
  std::atomic<std::uint64_t> ended{0};
  weft::wait_group group;
  for (std::uint64_t i = 0; i < n; ++i) {
    group.go([&, i] {
      struct count {
        std::atomic<std::uint64_t>& n;
        ~count() { ++n; }
      } const at_end{ended};
      if (i % 7 == 0) weft::yield();
      if (i % 11 == 0) weft::exit_fiber();
    });
  }
  group.wait();
  book.check(ended == n, "a fiber of many did not end");
}

// Who sleeps longer wakes later, on one clock.
void sleep_in_order(ledger& book, test::random& r) {
  const auto begin = weft::clock::now();
  handles all;
  const std::uint64_t n = 1 + r.below(10);
  for (std::uint64_t i = 0; i < n; ++i) {
    const microseconds time(r.below(500));
    all.push_back(weft::spawn([&book, begin, time] {
      weft::sleep_until(begin + time);
      book.check(weft::clock::now() >= begin + time, "a sleeper woke early");
    }));
  }
  join_all(all);
}

}  // namespace

void act(ledger& book, const rules& allowed, std::uint64_t seed) {
  test::random r(seed, 5);
  std::uint64_t what = r.below(12);
  // The children of these two point into a frame that would be unwound before them.
  if (allowed.is_cut_short && (what == 4 || what >= 9)) what = 7;
  if (allowed.is_seeded && what == 3) what = 0;
  book.step(200 + what);
  switch (what) {
    case 0:
      return run_pipeline(book, r);
    case 1:
      return merge(book, r);
    case 2:
      return face_to_face(book, r);
    case 3:
      return play_with_thread(book, r);
    case 4:
      return count_under_lock(book, r);
    case 5:
      return meet_at_barrier(book, r);
    case 6:
      return fail_together(book, r);
    case 7:
      return cancel_tree(book, r);
    case 8:
      return call_once_together(book, r);
    case 9:
    case 10:
      return start_many(book, r);
    default:
      return sleep_in_order(book, r);
  }
}

// They capture `this` only: what an abandoned frame owns is never given back.
void never_ending::start() {
  mutex_.lock();
  semaphore_.acquire();
  weft::go([this] { static_cast<void>(to_receive_.recv()); });
  weft::go([this] { to_send_.send(1); });
  weft::go([this] { semaphore_.acquire(); });
  weft::go([this] {
    group_.add(1);
    group_.wait();
  });
  weft::go([this] { mutex_.lock(); });
  weft::go([this] {
    weft::select(weft::recv(to_receive_), weft::send(to_send_, 1), weft::done(scope_.ctx),
                 weft::timeout(std::chrono::hours(1)));
  });
  weft::go([this] {
    std::error_code ec;
    static_cast<void>(semaphore_.acquire(scope_.ctx, 1, ec));
  });
  weft::go([] { weft::sleep_for(std::chrono::hours(1)); });
  weft::go([] { weft::select(); });
  weft::go([] {
    for (;;) weft::yield();
  });
}

}  // namespace soak
