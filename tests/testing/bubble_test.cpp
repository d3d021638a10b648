// Bubbles: virtual time, what is durably blocked, and how they end.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/bubbles.hpp"
#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/group.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/singleflight.hpp"
#include "weft/sync.hpp"
#include "weft/testing.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;
using test::baton;
using test::contains;
using test::in_bubbles;
using test::message_of;
using weft::testing::bubble;

}  // namespace

TEST_CASE("bubble: runs the function and waits for all that it starts", "[testing][unit][ST-01]") {
  test::run_with_procs([] {
    std::atomic<int> ended{0};
    bubble([&] {
      for (int i = 0; i < 10; ++i)
        weft::go([&, i] {
          weft::sleep_for(std::chrono::seconds(i));
          weft::go([&] { ++ended; });
        });
      weft::sleep_for(1h);
    });
    CHECK(ended == 10);
  });
}

TEST_CASE("bubble: an exception of the function leaves it", "[testing][unit][ST-01]") {
  test::run_with_procs([] {
    bool others_ended = false;
    CHECK_THROWS_AS(bubble([&] {
                      weft::go([&] {
                        weft::yield();
                        others_ended = true;
                      });
                      throw std::out_of_range("of the body");
                    }),
                    std::out_of_range);
    CHECK(others_ended);
  });
}

TEST_CASE("bubble: from a plain thread, in the runtime that runs or one of its own",
          "[testing][unit][ST-01]") {
  int ran = 0;
  bubble([&] {
    weft::sleep_for(24h);
    ++ran;
  });
  CHECK(ran == 1);
  weft::runtime r;
  bubble([&] {
    CHECK(weft::runtime::current() == &r);
    ++ran;
  });
  CHECK(ran == 2);
  CHECK_THROWS_AS(bubble([] { throw std::out_of_range("of the body"); }), std::out_of_range);
}

TEST_CASE("bubble: the clock starts at a fixed point, and all of time goes by it",
          "[testing][unit][ST-02]") {
  std::set<weft::clock::time_point> starts;
  test::run_with_procs([&] {
    bubble([&] {
      const auto start = weft::clock::now();
      starts.insert(start);
      const auto after = [&](auto d) { return weft::clock::now() == start + d; };
      weft::sleep_for(1h);
      CHECK(after(1h));
      weft::sleep_until(start + 2h);
      CHECK(after(2h));
      weft::timer t(1h);
      CHECK(t.c().recv() == start + 3h);
      CHECK(after(3h));
      weft::ticker ticks(30min);
      (void)ticks.c().recv();
      (void)ticks.c().recv();
      CHECK(after(4h));
      weft::chan<int> never = weft::make_chan<int>();
      CHECK(weft::select(weft::recv(never), weft::timeout(1h)) == 1);
      CHECK(after(5h));
      auto [ctx, cancel] = weft::with_timeout({}, 1h);
      CHECK(ctx.deadline() == start + 6h);
      std::error_code ec;
      CHECK_FALSE(never.recv(ctx, ec));
      CHECK(ec == weft::errc::deadline_exceeded);
      CHECK(after(6h));
      weft::chan<int> called = weft::make_chan<int>(1);
      const weft::timer f = weft::after_func(1h, [&] { called.send(1); });
      CHECK(called.recv() == 1);
      CHECK(after(7h));
      weft::semaphore none(0);
      CHECK_FALSE(none.try_acquire_for(1h));
      CHECK(after(8h));
      weft::mutex held;
      held.lock();
      CHECK_FALSE(held.try_lock_for(1h));
      CHECK(after(9h));
      held.unlock();
      weft::rw_mutex shared;
      shared.lock_shared();
      CHECK_FALSE(shared.try_lock_for(1h));
      CHECK(after(10h));
      shared.unlock_shared();
    });
  });
  CHECK(starts.size() == 1);
}

TEST_CASE("bubble I2: time moves only when all are durably blocked", "[testing][unit][ST-03]") {
  test::run_with_procs([] {
    bubble([] {
      const auto start = weft::clock::now();
      bool slept = false;
      weft::go([&] {
        weft::sleep_for(1s);
        slept = true;
      });
      // It can run, so the clock stands still.
      for (int i = 0; i < 1000; ++i) {
        weft::yield();
        if (weft::clock::now() != start || slept) break;
      }
      CHECK(weft::clock::now() == start);
      CHECK_FALSE(slept);
      weft::blocking([&] { CHECK(weft::clock::now() == start); });
      weft::sleep_for(1s);
      weft::testing::wait();
      CHECK(slept);
    });
  });
}

TEST_CASE("bubble I1: idle means that everybody is blocked", "[testing][stress][ST-03][ST-06]") {
  test::run_with_procs([] {
    for (int round = 0; round < 50; ++round) {
      bubble([] {
        weft::chan<int> pings = weft::make_chan<int>();
        weft::chan<int> pongs = weft::make_chan<int>();
        std::atomic<int> running{0};
        for (int i = 0; i < 8; ++i)
          weft::go([&running, pings, pongs] {
            while (const auto n = pings.recv()) {
              ++running;
              weft::yield();
              --running;
              pongs.send(*n);
            }
          });
        for (int i = 0; i < 20; ++i) {
          for (int k = 0; k < 8; ++k) pings.send(k);
          weft::testing::wait();
          // Each of them stands in its send.
          if (running != 0) throw std::logic_error("one runs");
          for (int k = 0; k < 8; ++k) (void)pongs.recv();
        }
        pings.close();
      });
    }
  });
}

TEST_CASE("bubble: these waits are durable", "[testing][unit][ST-04]") {
  // Each would hang if the sleeper, which alone can end it, were not woken.
  const auto after_a_second = [](auto wakes, auto waits) {
    in_bubbles([&] {
      const auto start = weft::clock::now();
      weft::go([&] {
        weft::sleep_for(1s);
        wakes();
      });
      waits();
      CHECK(weft::clock::now() == start + 1s);
    });
  };
  SECTION("channels made inside") {
    in_bubbles([] {
      weft::chan<int> a = weft::make_chan<int>();
      weft::chan<int> b = weft::make_chan<int>();
      weft::go([&] {
        weft::sleep_for(1s);
        a.send(1);
        weft::sleep_for(1s);
        CHECK(b.recv() == 2);
        weft::sleep_for(1s);
        a.send(3);
      });
      CHECK(a.recv() == 1);
      b.send(2);
      CHECK(weft::select(weft::recv(a), weft::recv(b)) == 0);
    });
  }
  SECTION("nil channels and the empty select") {
    in_bubbles([] {
      weft::chan<int> quit = weft::make_chan<int>();
      weft::group g;
      g.go([] { weft::sleep_for(1s); });
      g.go([](const weft::context& ctx) {
        std::error_code ec;
        (void)weft::chan<int>().recv(ctx, ec);
      });
      weft::sleep_for(2s);
      g.go([] { throw std::out_of_range("the end"); });
      CHECK_THROWS_AS(g.wait(), std::out_of_range);
    });
    CHECK_THROWS_AS(bubble([] { weft::select(); }), weft::deadlock_error);
    CHECK_THROWS_AS(bubble([] { (void)weft::chan<int>().recv(); }), weft::deadlock_error);
    CHECK_THROWS_AS(bubble([] { weft::chan<int>().send(1); }), weft::deadlock_error);
  }
  SECTION("a condition") {
    weft::mutex m;
    weft::cond c;
    after_a_second(
        [&] {
          const std::lock_guard held(m);
          c.signal();
        },
        [&] {
          std::unique_lock held(m);
          c.wait(held);
        });
  }
  SECTION("a wait group that was added to inside") {
    weft::wait_group all;
    after_a_second([&] { all.done(); },
                   [&] {
                     all.add(1);
                     all.wait();
                   });
  }
  SECTION("a join") {
    in_bubbles([] {
      const auto start = weft::clock::now();
      CHECK(weft::spawn([] {
              weft::sleep_for(1s);
              return 7;
            }).join() == 7);
      CHECK(weft::clock::now() == start + 1s);
    });
  }
  SECTION("a semaphore made inside or out") {
    std::optional<weft::semaphore> made_inside;
    after_a_second([&] { made_inside->release(); },
                   [&] {
                     made_inside.emplace(1);
                     made_inside->acquire();
                     made_inside->acquire();
                   });
    const weft::runtime r;
    weft::semaphore made_outside(1);
    bubble([&] {
      made_outside.acquire();
      weft::go([&] {
        weft::sleep_for(1s);
        made_outside.release();
      });
      made_outside.acquire();
    });
  }
  SECTION("a latch") {
    std::optional<weft::latch> l;
    after_a_second([&] { l->count_down(); },
                   [&] {
                     l.emplace(1);
                     l->wait();
                   });
  }
  SECTION("a barrier") {
    std::optional<weft::barrier> b;
    after_a_second([&] { b->arrive_and_wait(); },
                   [&] {
                     b.emplace(2);
                     b->arrive_and_wait();
                   });
  }
  SECTION("a group, with its limit") {
    in_bubbles([] {
      const auto start = weft::clock::now();
      weft::group g;
      g.set_limit(1);
      for (int i = 0; i < 3; ++i) g.go([] { weft::sleep_for(1s); });
      g.wait();
      CHECK(weft::clock::now() == start + 3s);
    });
  }
  SECTION("a single flight") {
    in_bubbles([] {
      const auto start = weft::clock::now();
      weft::singleflight<int, int> flights;
      const auto fly = [&] {
        return flights
            .run(1,
                 [] {
                   weft::sleep_for(1s);
                   return 5;
                 })
            .value;
      };
      auto other = weft::spawn(fly);
      CHECK(fly() == 5);
      CHECK(other.join() == 5);
      CHECK(weft::clock::now() == start + 1s);
    });
  }
}

TEST_CASE("bubble: what is made outside and used in the bubble only is no deadlock",
          "[testing][unit][ST-04]") {
  weft::semaphore s(1);
  weft::latch opened(1);
  std::thread opener;
  const weft::runtime r;
  bubble([&] {
    s.acquire();
    const auto start = weft::clock::now();
    weft::go([&] {
      weft::sleep_for(1s);
      s.release();
    });
    s.acquire();  // time passes
    CHECK(weft::clock::now() == start + 1s);
    opener = std::thread([&] { opened.count_down(); });
    opened.wait();
  });
  opener.join();
}

TEST_CASE("bubble: these waits are not durable", "[testing][unit][ST-04][ST-14]") {
  // A fiber waits for something outside; meanwhile the clock stands though another one sleeps.
  const auto stands_still = [](auto waits, auto ends) {
    weft::runtime r;
    std::atomic<bool> is_waiting{false};
    bool time_passed = false;
    std::thread outside([&] {
      while (!is_waiting) std::this_thread::yield();
      // Whoever sleeps must not wake, however long this takes.
      for (int i = 0; i < 2000; ++i) std::this_thread::yield();
      ends();
    });
    bubble([&] {
      weft::go([&] {
        weft::sleep_for(1s);
        time_passed = true;
      });
      is_waiting = true;
      waits();
      CHECK_FALSE(time_passed);
      weft::sleep_for(1s);
      weft::testing::wait();
    });
    outside.join();
    CHECK(time_passed);
  };
  SECTION("a channel made outside") {
    weft::chan<int> ch = weft::make_chan<int>();
    stands_still([&] { CHECK(ch.recv() == 1); }, [&] { ch.send(1); });
    stands_still([&] { ch.send(1); }, [&] { (void)ch.recv(); });
  }
  SECTION("a select with one case of outside") {
    weft::chan<int> ch = weft::make_chan<int>();
    stands_still(
        [&] {
          weft::chan<int> mine = weft::make_chan<int>();
          CHECK(weft::select(weft::recv(mine), weft::recv(ch)) == 1);
        },
        [&] { ch.send(1); });
  }
  SECTION("a context made outside") {
    auto [ctx, cancel] = weft::with_cancel({});
    stands_still(
        [&, c = ctx] {
          weft::chan<int> mine = weft::make_chan<int>();
          std::error_code ec;
          (void)mine.recv(c, ec);
          CHECK(ec == weft::errc::canceled);
        },
        [&, &cancel_it = cancel] { cancel_it(); });
  }
  SECTION("a mutex") {
    weft::mutex m;
    m.lock();
    stands_still([&] { m.lock(); }, [&] { m.unlock(); });
    stands_still([&] { CHECK(m.try_lock_for(1h)); }, [&] { m.unlock(); });
  }
  SECTION("a read-write mutex") {
    weft::rw_mutex m;
    m.lock();
    stands_still([&] { m.lock_shared(); }, [&] { m.unlock(); });
    stands_still([&] { m.lock(); }, [&] { m.unlock_shared(); });
  }
  SECTION("a once") {
    weft::once o;
    std::atomic<bool> entered{false};
    std::atomic<bool> may_end{false};
    std::thread runner([&] {
      o.call([&] {
        entered = true;
        while (!may_end) std::this_thread::yield();
      });
    });
    while (!entered) std::this_thread::yield();
    stands_still([&] { o.call([] {}); }, [&] { may_end = true; });
    runner.join();
  }
  SECTION("a blocking call") {
    std::atomic<bool> may_end{false};
    stands_still(
        [&] {
          weft::blocking([&] {
            while (!may_end) std::this_thread::yield();
          });
        },
        [&] { may_end = true; });
  }
  SECTION("a semaphore that others use") {
    weft::semaphore s(1);
    s.acquire();
    stands_still([&] { s.acquire(); }, [&] { s.release(); });
  }
}

TEST_CASE("bubble: who sleeps less runs first, and the times are exact", "[testing][unit][ST-05]") {
  in_bubbles([] {
    const auto start = weft::clock::now();
    std::vector<weft::clock::duration> woken;
    weft::go([&] {
      weft::sleep_for(1s);
      woken.push_back(weft::clock::now() - start);
    });
    weft::sleep_for(2s);
    woken.push_back(weft::clock::now() - start);
    CHECK(woken == std::vector<weft::clock::duration>{1s, 2s});
  });
}

TEST_CASE("wait: returns when the others are blocked or have ended, and time stands",
          "[testing][unit][ST-06]") {
  in_bubbles([] {
    const auto start = weft::clock::now();
    std::atomic<int> at{0};
    weft::go([&] {
      weft::yield();
      ++at;
      weft::sleep_for(1s);
      ++at;
    });
    weft::go([&] {
      weft::yield();
      ++at;
    });
    weft::testing::wait();
    CHECK(at == 2);
    CHECK(weft::clock::now() == start);
    weft::sleep_for(1s);
    weft::testing::wait();
    CHECK(at == 3);
    CHECK(weft::clock::now() == start + 1s);
    weft::testing::wait();
  });
}

TEST_CASE("wait: what is due runs first", "[testing][unit][ST-06]") {
  in_bubbles([] {
    int ran = 0;
    const weft::timer now = weft::after_func(0s, [&] { ++ran; });
    const weft::timer soon = weft::after_func(1s, [&] { ++ran; });
    weft::testing::wait();
    CHECK(ran == 1);
    weft::sleep_for(1s);
    weft::testing::wait();
    CHECK(ran == 2);
  });
}

TEST_CASE("wait: outside of a bubble, and twice at once, it throws", "[testing][unit][ST-07]") {
  CHECK(contains(message_of([] { weft::testing::wait(); }), "goroutine is not in a bubble"));
  test::run_with_procs([] {
    CHECK(contains(message_of([] { weft::testing::wait(); }), "goroutine is not in a bubble"));
    CHECK_THROWS_AS(weft::testing::wait(), std::logic_error);
    bubble([] {
      std::vector<std::string> messages(2);
      weft::go([&] { messages[0] = message_of([] { weft::testing::wait(); }); });
      messages[1] = message_of([] {
        weft::yield();
        weft::testing::wait();
      });
      weft::sleep_for(1s);
      std::sort(messages.begin(), messages.end());
      // With several processors they may just miss each other.
      if (!messages[1].empty()) CHECK(contains(messages[1], "wait already in progress"));
      if (weft::procs() == 1) CHECK(contains(messages[1], "wait already in progress"));
      CHECK(messages[0].empty());
    });
  });
}

TEST_CASE("bubble: not inside another one", "[testing][unit][ST-08]") {
  test::run_with_procs([] {
    bubble([] {
      CHECK(contains(message_of([] { bubble([] {}); }), "called from within a synctest bubble"));
      CHECK_THROWS_AS(bubble([] {}), std::logic_error);
    });
    bubble([] {});
  });
}
