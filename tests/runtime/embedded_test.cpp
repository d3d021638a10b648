// A runtime without threads of its own, driven by run_once and poll_fd from a foreign event loop.
#include "support/embedded.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

using namespace std::chrono_literals;
using test::drive;
using test::embedded;
using test::readable;
using test::run_until_idle;
using test::turn;

TEST_CASE("run_once: runs what is runnable, on the calling thread", "[runtime][unit][SC-37]") {
  weft::runtime rt(embedded());
  CHECK_FALSE(turn(rt));
  std::vector<std::thread::id> where;
  for (int i = 0; i < 3; ++i) {
    rt.go([&] {
      where.push_back(test::thread_now());
      weft::yield();
      where.push_back(test::thread_now());
    });
  }
  CHECK(where.empty());  // nothing runs by itself
  CHECK(turn(rt));
  run_until_idle(rt);
  CHECK(where == std::vector<std::thread::id>(6, test::thread_now()));
  CHECK_FALSE(turn(rt));
  CHECK(weft::runtime::current() == nullptr);
  CHECK(weft::this_fiber::id() == weft::fiber_id{});
}

TEST_CASE("run_once: needs no thread, and leaves nothing behind", "[runtime][os][SC-36]") {
  const test::holdings before = test::holdings::now();
  {
    weft::runtime rt(embedded());
    rt.go([] { weft::yield(); });
    rt.go([] { weft::blocking([] { weft::this_fiber::set_name("inline"); }); });
    rt.go([] { weft::sleep_for(1h); });
    run_until_idle(rt);
    CHECK(test::holdings::now().threads == before.threads);
  }
  CHECK(test::holdings::now().descriptors == before.descriptors);
}

TEST_CASE("run_once: waits until the time that it is given, and no longer than until something ran",
          "[runtime][os][SC-37]") {
  weft::runtime rt(embedded());
  const weft::clock::time_point start = weft::clock::now();
  CHECK_FALSE(rt.run_once(start + 20ms));
  CHECK(weft::clock::now() - start >= 20ms);
  rt.go([] {});
  CHECK(rt.run_once(weft::clock::now() + 1h));
  rt.go([] { weft::sleep_for(5ms); });
  CHECK(rt.run_once(weft::clock::now() + 1h));
  CHECK(rt.run_once(weft::clock::now() + 1h));  // the timer ends the wait
  std::jthread other([&] { rt.go([] {}); });
  CHECK(rt.run_once(weft::clock::now() + 1h));
}

TEST_CASE("run_once: comes back from fibers that always have something to do",
          "[runtime][unit][SC-37]") {
  weft::runtime rt(embedded());
  const weft::chan<int> ping = weft::make_chan<int>();
  const weft::chan<int> pong = weft::make_chan<int>();
  bool stop = false;
  int alone = 0;
  SECTION("two that talk") {
    rt.go([&, ping, pong] {
      while (!stop) {
        ping.send(1);
        static_cast<void>(pong.recv());
      }
      ping.close();
    });
    rt.go([ping, pong] {
      for (const int n : ping) pong.send(n);
    });
  }
  SECTION("one that yields") {
    rt.go([&] {
      while (!stop) {
        test::spin_for(100us);
        ++alone;
        weft::yield();
      }
    });
  }
  for (int i = 0; i < 3; ++i) {
    CHECK(rt.run_once(weft::clock::now() + 1h));
    CHECK(readable(rt.poll_fd(), 0ms));  // the rest of it
  }
  CHECK(alone < 60);  // each yield is a chance to come back
  stop = true;
  run_until_idle(rt);
  CHECK_FALSE(readable(rt.poll_fd(), 0ms));
}

TEST_CASE("poll_fd: is readable when there is work, and not when there is none",
          "[runtime][os][SC-37][SC-10]") {
  weft::runtime rt(embedded());
  CHECK_FALSE(readable(rt.poll_fd(), 0ms));
  run_until_idle(rt);
  CHECK_FALSE(readable(rt.poll_fd(), 0ms));
  std::atomic<bool> ran{false};
  std::thread other([&] { rt.go([&] { ran = true; }); });
  CHECK(readable(rt.poll_fd(), 20s));
  other.join();
  CHECK_FALSE(ran);
  CHECK(turn(rt));
  CHECK(ran);
  run_until_idle(rt);
  CHECK_FALSE(readable(rt.poll_fd(), 0ms));

  // From this thread, between two calls.
  const weft::chan<int> ch = weft::make_chan<int>();
  rt.go([ch] { static_cast<void>(ch.recv()); });
  CHECK(readable(rt.poll_fd(), 0ms));
  run_until_idle(rt);
  CHECK_FALSE(readable(rt.poll_fd(), 0ms));
  CHECK(ch.try_send(1));
  CHECK(readable(rt.poll_fd(), 0ms));
  run_until_idle(rt);
  CHECK_FALSE(readable(rt.poll_fd(), 0ms));
}

TEST_CASE("poll_fd: becomes readable when a timer is due, and not for one that was stopped",
          "[runtime][os][SC-37][SC-10]") {
  weft::runtime rt(embedded());
  bool woke = false;
  const weft::clock::time_point start = weft::clock::now();
  rt.go([&] {
    weft::sleep_for(30ms);
    woke = true;
  });
  run_until_idle(rt);
  CHECK_FALSE(woke);
  CHECK(drive(rt, [&] { return woke; }));
  CHECK(weft::clock::now() - start >= 30ms);

  const weft::chan<int> ch = weft::make_chan<int>();
  std::size_t which = 9;
  rt.go([&, ch] { which = weft::select(weft::recv(ch), weft::timeout(10ms)); });
  run_until_idle(rt);
  ch.send(1);
  run_until_idle(rt);
  CHECK(which == 0);
  CHECK_FALSE(readable(rt.poll_fd(), 30ms));

  // A deadline that a plain thread sets wakes the loop in time as well.
  std::atomic<bool> called{false};
  const weft::timer timer = weft::after_func(20ms, [&] { called = true; });
  CHECK(drive(rt, [&] { return called.load(); }));
}

TEST_CASE("poll_fd: serves a foreign epoll that waits for edges, when run_once is drained",
          "[runtime][os][SC-37]") {
  weft::runtime rt(embedded());
  const int foreign = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  REQUIRE(::epoll_ctl(foreign, EPOLL_CTL_ADD, rt.poll_fd(), &event) == 0);
  const weft::chan<int> ch = weft::make_chan<int>();
  int sum = 0;
  bool done = false;
  rt.go([&, ch] {
    for (const int n : ch) {
      sum += n;
      if (n % 50 == 0) weft::sleep_for(1ms);
    }
    done = true;
  });
  run_until_idle(rt);
  std::thread sender([ch] {
    for (int i = 1; i <= 200; ++i) ch.send(i);
    ch.close();
  });
  const weft::clock::time_point limit = weft::clock::now() + test::patience;
  while (!done && weft::clock::now() < limit) {
    if (::epoll_wait(foreign, &event, 1, 20'000) == 1) run_until_idle(rt);
  }
  sender.join();
  CHECK(done);
  CHECK(sum == 200 * 201 / 2);
  ::close(foreign);
}

TEST_CASE("run_once: plain threads come, talk to fibers and leave", "[runtime][os][SC-37]") {
  weft::runtime rt(embedded());
  const weft::chan<int> ch = weft::make_chan<int>();
  weft::mutex mutex;
  int sum = 0;  // guarded by mutex
  bool done = false;
  rt.go([&, ch] {
    for (const int n : ch) {
      const std::scoped_lock lock(mutex);
      sum += n;
    }
    done = true;
  });
  constexpr int rounds = 20;
  std::thread spring([&, ch] {
    for (int round = 0; round < rounds; ++round) {
      std::vector<std::thread> threads;
      for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&, ch] {
          for (int i = 0; i < 5; ++i) ch.send(1);
          {
            const std::scoped_lock lock(mutex);
            sum += 10;
          }
          rt.spawn([] { return weft::runtime::current() != nullptr; }).join();
          rt.block_on([&] { weft::yield(); });  // waits for the thread that drives
        });
      }
      for (std::thread& t : threads) t.join();
    }
    ch.close();
  });
  CHECK(drive(rt, [&] { return done; }));
  spring.join();
  CHECK(sum == rounds * 3 * 15);
}

TEST_CASE("run_once: the loop moves from thread to thread", "[runtime][unit][SC-37]") {
  weft::runtime rt(embedded());
  test::notes<std::thread::id> where;
  bool done = false;
  bool kept = true;
  rt.go([&] {
    for (int i = 0; i < 10; ++i) {
      where.add(test::thread_now());
      try {
        throw std::runtime_error("caught over a switch");
      } catch (const std::exception&) {
        weft::sleep_for(1ms);
        kept = kept && std::current_exception() != nullptr;
      }
    }
    done = true;
  });
  int drivers = 0;
  while (!done && drivers < 1000) {
    std::thread([&] { rt.run_once(weft::clock::now() + 1s); }).join();
    ++drivers;
  }
  CHECK(done);
  CHECK(where.sorted().size() == 10);
  CHECK(kept);
}

TEST_CASE("run_once: several threads take turns", "[runtime][stress][SC-37]") {
  weft::runtime rt(embedded());
  constexpr int fibers = 50;
  std::atomic<int> ended{0};
  int inside = 0;  // not atomic: one drives at a time
  bool alone = true;
  for (int f = 0; f < fibers; ++f) {
    rt.go([&] {
      for (int i = 0; i < 100; ++i) {
        alone = alone && ++inside == 1;
        --inside;
        weft::yield();
      }
      ++ended;
    });
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (ended < fibers) rt.run_once(weft::clock::now() + 10ms);
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(ended == fibers);
  CHECK(alone);
}

TEST_CASE("run_once: a call that another thread keeps out comes back in time",
          "[runtime][os][SC-37]") {
  weft::runtime rt(embedded());
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  rt.go([&] {
    inside = true;
    test::spin_until_set(leave);
  });
  std::thread driver([&] { turn(rt); });
  REQUIRE(test::eventually([&] { return inside.load(); }));
  CHECK_FALSE(turn(rt));
  CHECK_FALSE(rt.run_once(weft::clock::now() + 5ms));
  CHECK_THROWS_AS(rt.shutdown(), std::logic_error);
  leave = true;
  driver.join();
  rt.shutdown();
}

TEST_CASE("block_on: drives a runtime without threads", "[runtime][unit][SC-37]") {
  weft::runtime rt(embedded());
  const weft::chan<int> ch = weft::make_chan<int>();
  rt.go([ch] {
    weft::sleep_for(2ms);
    ch.send(7);
  });
  CHECK(rt.block_on([ch] { return ch.recv(); }) == 7);
  CHECK_THROWS_AS(rt.block_on([] { throw std::range_error("inside"); }), std::range_error);
  CHECK(rt.block_on([&] { return weft::runtime::current() == &rt; }));
}

TEST_CASE(
    "run_once: several runtimes on one thread, with channels between them and to one of "
    "threads",
    "[runtime][os][SC-36]") {
  weft::runtime one(embedded());
  weft::runtime two(embedded());
  weft::runtime own(weft::options{.procs = 2});
  const weft::chan<int> first = weft::make_chan<int>();
  const weft::chan<int> second = weft::make_chan<int>();
  const weft::chan<int> third = weft::make_chan<int>(1);
  long sum = 0;
  bool done = false;
  one.go([=] {
    for (int i = 0; i < 300; ++i) first.send(i);
    first.close();
  });
  two.go([=] {
    for (const int i : first) second.send(i);
    second.close();
  });
  own.go([=] {
    for (const int i : second) third.send(i);
    third.close();
  });
  one.go([&, third] {
    for (const int i : third) sum += i;
    done = true;
  });
  pollfd both[2] = {{one.poll_fd(), POLLIN, 0}, {two.poll_fd(), POLLIN, 0}};
  const weft::clock::time_point limit = weft::clock::now() + test::patience;
  while (!done && weft::clock::now() < limit) {
    if (::poll(both, 2, 1000) <= 0) continue;
    if (both[0].revents != 0) turn(one);
    if (both[1].revents != 0) turn(two);
  }
  CHECK(sum == 299L * 300 / 2);
}

TEST_CASE("run_once: runtimes one after another leave no descriptor and no thread",
          "[runtime][os][SC-36]") {
  const test::holdings before = test::holdings::now();
  for (int i = 0; i < 50; ++i) {
    weft::runtime rt(embedded(i % 2 == 0 ? weft::exit_policy::unwind : weft::exit_policy::wait));
    int ran = 0;
    for (int f = 0; f < 5; ++f) rt.go([&] { ++ran; });
    std::jthread stranger([&] { rt.go([] { weft::yield(); }); });
    stranger.join();
    run_until_idle(rt);
    CHECK(ran == 5);
  }
  const test::holdings after = test::holdings::now();
  CHECK(after.descriptors == before.descriptors);
  CHECK(after.threads <= before.threads);
}

TEST_CASE("stop_token: a stop that another thread asks for ends a fiber's wait",
          "[runtime][os][CX-29]") {
  weft::runtime rt(embedded());
  std::error_code reason;
  bool done = false;
  std::jthread worker([&](const std::stop_token& token) {
    const weft::context ctx = weft::from_stop_token(token);
    rt.spawn([&, ctx] {
        static_cast<void>(weft::make_chan<int>().recv(ctx, reason));
        done = true;
      }).join();
  });
  bool called = false;
  const std::stop_callback seen(worker.get_stop_token(), [&] { called = true; });
  static_cast<void>(drive(rt, [n = 0]() mutable { return ++n > 5; }));
  CHECK_FALSE(done);
  worker.request_stop();
  CHECK(drive(rt, [&] { return done; }));
  CHECK(called);
  CHECK(reason == weft::errc::canceled);
}

TEST_CASE("run_once: a random mix of strangers and timers loses no wake-up",
          "[runtime][stress][SC-37][SC-10]") {
  weft::runtime rt(embedded());
  const weft::chan<int> ch = weft::make_chan<int>(2);
  constexpr int strangers = 4;
  constexpr int each = 2000;
  std::atomic<int> got{0};
  std::atomic<int> started{0};
  for (int f = 0; f < 3; ++f) {
    rt.go([&, ch] {
      for (const int n : ch) {
        ++got;
        if (n % 97 == 0) weft::sleep_for(50us);
      }
    });
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < strangers; ++t) {
    threads.emplace_back([&, ch] {
      for (int i = 0; i < each; ++i) {
        if (i % 2 == 0) {
          ch.send(i);
        } else {
          rt.go([&] { ++started; });
        }
      }
    });
  }
  // Only the descriptor says when there is work: a lost wake-up stops everything.
  CHECK(drive(rt, [&] { return got == strangers * each / 2 && started == strangers * each / 2; }));
  for (std::thread& t : threads) t.join();
  ch.close();
  CHECK(drive(rt, [&] { return rt.block_on([] { return weft::num_fibers(); }) == 1; }));
}
