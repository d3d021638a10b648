// Runtime objects and plain threads: go, spawn, block_on, channels and locks from outside.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

// Runs `body` with a runtime object of 1, 2 and 4 processors; the calling thread stays a plain one.
template <class F>
void with_runtimes(F body) {
  for (const unsigned procs : {1U, 2U, 4U}) {
    INFO("procs: " << procs);
    weft::runtime rt(weft::options{.procs = procs});
    body(rt);
  }
}

}  // namespace

TEST_CASE("runtime: block_on gives the result or the exception", "[runtime][unit][SC-37]") {
  with_runtimes([](weft::runtime& rt) {
    CHECK(rt.block_on([] { return 3; }) == 3);
    CHECK(*rt.block_on([p = std::make_unique<int>(4)]() mutable { return std::move(p); }) == 4);
    CHECK(rt.block_on([&] { return weft::runtime::current() == &rt; }));
    CHECK_THROWS_AS(rt.block_on([] { throw std::range_error("inside"); }), std::range_error);
    int ran = 0;
    rt.block_on([&] {
      weft::yield();
      ran = 1;
    });
    CHECK(ran == 1);
    CHECK(weft::runtime::current() == nullptr);
  });
}

TEST_CASE("runtime: several threads block on it at once", "[runtime][unit][SC-37]") {
  with_runtimes([](weft::runtime& rt) {
    test::expectations e;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 50; ++i) {
          const int got =
              rt.block_on([=] { return weft::spawn([=] { return t * 1000 + i; }).join(); });
          e.that(got == t * 1000 + i, "block_on gives its own result");
        }
      });
    }
    for (std::thread& t : threads) t.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("runtime: go and spawn from plain threads, join from a plain thread",
          "[runtime][unit][SC-37][SC-01]") {
  with_runtimes([](weft::runtime& rt) {
    weft::join_handle<std::string> h = rt.spawn([] { return std::string("spawned"); });
    CHECK(h.join() == "spawned");
    CHECK_THROWS_AS(rt.spawn([] { throw std::domain_error("d"); }).join(), std::domain_error);
    {
      weft::join_handle<void> dropped = rt.spawn([] { weft::yield(); });
    }
    int before = 5;
    int after = 0;
    rt.spawn([&] { after = before + 1; }).join();
    CHECK(after == 6);

    weft::chan<int> results = weft::make_chan<int>();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, results] {
        for (int i = 0; i < 100; ++i) rt.go([=] { results.send(1); });
      });
    }
    int sum = 0;
    for (int i = 0; i < 400; ++i) sum += results.recv().value();  // this thread waits on a futex
    CHECK(sum == 400);
    for (std::thread& t : threads) t.join();
  });
}

TEST_CASE("runtime: two at once, each with its own fibers, and channels between them",
          "[runtime][unit][SC-36]") {
  weft::runtime one(weft::options{.procs = 1});
  weft::runtime two(weft::options{.procs = 2});
  weft::chan<int> ping = weft::make_chan<int>();
  weft::chan<int> pong = weft::make_chan<int>();
  std::atomic<int> strangers{0};
  weft::join_handle<void> a = one.spawn([&] {
    for (int i = 0; i < 500; ++i) {
      if (weft::runtime::current() != &one) ++strangers;
      ping.send(i);
      if (pong.recv() != i) ++strangers;
    }
    ping.close();
  });
  weft::join_handle<int> b = two.spawn([&] {
    int sum = 0;
    for (const int i : ping) {
      if (weft::runtime::current() != &two) ++strangers;
      weft::yield();
      pong.send(i);
      sum += i;
    }
    return sum;
  });
  CHECK(b.join() == 499 * 500 / 2);
  a.join();
  CHECK(strangers == 0);
}

TEST_CASE("runtime: a fiber of one joins and starts fibers of another", "[runtime][unit][SC-36]") {
  weft::runtime one(weft::options{.procs = 1});
  weft::runtime two(weft::options{.procs = 1});
  const bool right = one.block_on([&] {
    return two.spawn([&] { return weft::runtime::current() == &two; }).join() &&
           weft::runtime::current() == &one;
  });
  CHECK(right);
}

TEST_CASE("runtime: shutdown twice, and shutdown then the destructor, are one",
          "[runtime][unit][SC-36]") {
  with_runtimes([](weft::runtime& rt) {
    rt.block_on([] { weft::yield(); });
    rt.shutdown();
    rt.shutdown();
  });
}

TEST_CASE("foreign: channels between plain threads and fibers lose and double nothing",
          "[runtime][unit][SC-37]") {
  with_runtimes([](weft::runtime& rt) {
    constexpr int each = 300;
    for (const std::size_t capacity : {std::size_t{0}, std::size_t{3}}) {
      weft::chan<int> ch = weft::make_chan<int>(capacity);
      std::vector<std::thread> threads;
      std::vector<weft::join_handle<void>> fibers;
      for (int s = 0; s < 2; ++s) {
        threads.emplace_back([=] {
          for (int i = 0; i < each; ++i) ch.send(s * each + i);
        });
        fibers.push_back(rt.spawn([=] {
          for (int i = 0; i < each; ++i) ch.send((s + 2) * each + i);
        }));
      }
      test::notes<int> got;
      std::thread taker([&, ch] {
        for (int i = 0; i < 2 * each; ++i) got.add(ch.recv().value());
      });
      rt.block_on([&, ch] {
        for (int i = 0; i < 2 * each; ++i) got.add(ch.recv().value());
      });
      taker.join();
      for (std::thread& t : threads) t.join();
      for (weft::join_handle<void>& f : fibers) f.join();
      const std::vector<int> all = got.sorted();
      REQUIRE(all.size() == 4 * each);
      for (int i = 0; i < 4 * each; ++i) REQUIRE(all[static_cast<std::size_t>(i)] == i);
    }
  });
}

TEST_CASE("foreign: select, locks, semaphores, wait groups and sleeps from plain threads",
          "[runtime][unit][SC-37]") {
  with_runtimes([](weft::runtime& rt) {
    weft::mutex mutex;
    weft::wait_group group;
    weft::semaphore permits(2);
    permits.acquire(2);
    weft::chan<int> a = weft::make_chan<int>();
    weft::chan<int> b = weft::make_chan<int>();
    long counter = 0;  // guarded by mutex
    long selected = 0;
    group.add(2);
    for (int f = 0; f < 2; ++f) {
      rt.go([&] {
        for (int i = 0; i < 200; ++i) {
          mutex.lock();
          ++counter;
          mutex.unlock();
        }
        permits.release();
        group.done();
      });
    }
    rt.go([=] {
      for (int i = 0; i < 50; ++i) a.send(1);
    });
    rt.go([=] {
      for (int i = 0; i < 50; ++i) b.send(1);
    });
    for (int i = 0; i < 200; ++i) {
      mutex.lock();
      ++counter;
      mutex.unlock();
    }
    for (int i = 0; i < 100; ++i) {
      weft::select(weft::recv(a, [&](int n) { selected += n; }),
                   weft::recv(b, [&](int n) { selected += n; }));
    }
    permits.acquire(2);
    group.wait();
    CHECK(counter == 600);
    CHECK(selected == 100);
    CHECK(weft::select(weft::recv(a), weft::timeout(1ms)) == 1);
    const weft::clock::time_point start = weft::clock::now();
    weft::sleep_for(2ms);
    CHECK(weft::clock::now() - start >= 2ms);
    weft::yield();  // harmless on a plain thread
    CHECK(weft::blocking([] { return 8; }) == 8);
  });
}

TEST_CASE("foreign: a wake-up reaches an idle runtime soon", "[runtime][os][SC-37][SC-10]") {
  with_runtimes([](weft::runtime& rt) {
    weft::chan<int> request = weft::make_chan<int>();
    weft::chan<int> reply = weft::make_chan<int>();
    rt.go([=] {
      for (const int i : request) reply.send(i);
    });
    std::vector<weft::clock::duration> took;
    for (int i = 0; i < 30; ++i) {
      // Let the runtime go idle: nothing has been runnable for a while.
      test::spin_for(2ms);
      const weft::clock::time_point start = weft::clock::now();
      request.send(i);
      REQUIRE(reply.recv() == std::optional<int>(i));
      took.push_back(weft::clock::now() - start);
    }
    request.close();
    std::sort(took.begin(), took.end());
    // A lost wake-up waits for the next tick of somebody else, or for ever.
    CHECK(took[took.size() / 2] < 100ms);
  });
}

TEST_CASE("foreign: a fiber that waits for a plain thread wakes on time",
          "[runtime][unit][SC-37]") {
  test::run_with_procs([] {
    weft::chan<int> ch = weft::make_chan<int>();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([ch] {
        for (int k = 0; k < 200; ++k) ch.send(k);
      });
    }
    long sum = 0;
    for (int i = 0; i < 800; ++i) sum += ch.recv().value();
    for (std::thread& t : threads) t.join();
    CHECK(sum == 4 * (199L * 200 / 2));
  });
}

TEST_CASE("foreign: fibers never run on a thread that is not the runtime's",
          "[runtime][unit][SC-37]") {
  with_runtimes([](weft::runtime& rt) {
    const std::thread::id mine = test::thread_now();
    const bool elsewhere = rt.block_on([=] { return test::thread_now() != mine; });
    CHECK(elsewhere);
  });
}
