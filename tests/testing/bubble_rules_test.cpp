// Bubbles: how they end, their borders, and what of them is ordered.
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

TEST_CASE("bubble: all blocked and no timer is a deadlock, with the dump",
          "[testing][unit][ST-09]") {
  test::run_with_procs([] {
    std::atomic<int> destroyed{0};
    const auto blocked_for_ever = [&](auto body) {
      std::string text;
      try {
        bubble(body);
      } catch (const weft::deadlock_error& e) {
        text = e.what();
      }
      return text;
    };
    const std::string text = blocked_for_ever([&] {
      const test::sentinel counts(destroyed);
      weft::chan<int> ch = weft::make_chan<int>();
      weft::go({.name = "the other"}, [&] {
        const test::sentinel counts_too(destroyed);
        weft::make_chan<int>().send(1);
      });
      (void)ch.recv();
    });
    CHECK(contains(text, "deadlock: all goroutines in bubble are blocked"));
    CHECK(contains(text, "[chan receive (durable)]"));
    CHECK(contains(text, "[chan send (durable)]: the other"));
    CHECK(contains(text, "bubble_rules_test.cpp"));
    // What is left is unwound, so that nothing refers to the body's variables any more.
    CHECK(destroyed == 2);
    // The next one knows nothing of it.
    bubble([] { weft::sleep_for(1s); });
  });
}

TEST_CASE("bubble: the first fiber has ended, others are blocked for ever",
          "[testing][unit][ST-10]") {
  test::run_with_procs([] {
    std::string text;
    try {
      bubble([] { weft::go([] { (void)weft::make_chan<int>().recv(); }); });
    } catch (const weft::deadlock_error& e) {
      text = e.what();
    }
    CHECK(
        contains(text, "deadlock: main bubble goroutine has exited but blocked goroutines remain"));
    CHECK(contains(text, "[chan receive (durable)]"));
  });
}

TEST_CASE("bubble: an exception wins over those that it leaves blocked", "[testing][unit][ST-10]") {
  test::run_with_procs([] {
    CHECK_THROWS_AS(bubble([] {
                      weft::go([] { (void)weft::make_chan<int>().recv(); });
                      throw std::out_of_range("of the body");
                    }),
                    std::out_of_range);
  });
}

TEST_CASE("bubble: when the first fiber has returned time stops", "[testing][unit][ST-11]") {
  test::run_with_procs([] {
    std::atomic<int> fired{0};
    CHECK(contains(message_of([&] {
                     bubble([&] {
                       weft::go([&] {
                         weft::sleep_for(1s);
                         ++fired;
                       });
                     });
                   }),
                   "main bubble goroutine has exited"));
    // Nobody waits for these.
    bubble([&] {
      weft::after_func(1s, [&] { ++fired; }).detach();
      static_cast<void>(weft::after(1s));
    });
    CHECK(fired == 0);
  });
}

TEST_CASE("bubble: its channels refuse those outside", "[testing][unit][ST-12]") {
  test::run_with_procs([] {
    weft::chan<int> ch;
    const auto refuses = [&] {
      CHECK(contains(message_of([&] { ch.send(1); }),
                     "send on synctest channel from outside bubble"));
      CHECK(contains(message_of([&] { (void)ch.try_send(1); }), "send on synctest channel"));
      CHECK(contains(message_of([&] { (void)ch.recv(); }),
                     "receive on synctest channel from outside bubble"));
      CHECK(contains(message_of([&] { (void)ch.try_recv(); }), "receive on synctest channel"));
      CHECK(contains(message_of([&] { weft::select(weft::recv(ch), weft::otherwise()); }),
                     "select on synctest channel from outside bubble"));
      CHECK(contains(message_of([&] { ch.close(); }),
                     "close of synctest channel from outside bubble"));
      CHECK_THROWS_AS(ch.send(1), std::logic_error);
      CHECK(ch.size() == 1);
    };
    baton turn;
    baton back;
    auto other = weft::spawn([&] {
      turn.acquire();
      refuses();
      bubble(refuses);
      back.release();
    });
    bubble([&] {
      ch = weft::make_chan<int>(2);
      ch.send(1);
      turn.release();
      back.acquire();
    });
    other.join();
    refuses();
  });
}

TEST_CASE("bubble: its timers refuse those outside", "[testing][unit][ST-13]") {
  test::run_with_procs([] {
    std::optional<weft::timer> t;
    std::optional<weft::timer> f;
    std::optional<weft::ticker> k;
    bubble([&] {
      t.emplace(1h);
      k.emplace(1h);
      f.emplace(weft::after_func(1h, [] {}));
    });
    const std::string stop = "stop of synctest timer from outside bubble";
    const std::string reset = "reset of synctest timer from outside bubble";
    CHECK(contains(message_of([&] { t->stop(); }), stop));
    CHECK(contains(message_of([&] { f->stop(); }), stop));
    CHECK(contains(message_of([&] { k->stop(); }), stop));
    CHECK(contains(message_of([&] { t->reset(1s); }), reset));
    CHECK(contains(message_of([&] { f->reset(1s); }), reset));
    CHECK(contains(message_of([&] { k->reset(1s); }), reset));
    CHECK_THROWS_AS(t->stop(), std::logic_error);
  });
}

TEST_CASE("bubble: a timer made outside stays outside", "[testing][os][ST-14]") {
  test::run_with_procs([] {
    weft::timer t(1h);
    weft::chan<int> called = weft::make_chan<int>(1);
    weft::timer f = weft::after_func(1h, [&] { called.send(1); });
    const auto real = std::chrono::steady_clock::now();
    bubble([&] {
      const auto start = weft::clock::now();
      t.reset(2ms);
      (void)t.c().recv();
      f.reset(2ms);
      CHECK(called.recv() == 1);
      CHECK(weft::clock::now() == start);
    });
    CHECK(std::chrono::steady_clock::now() - real >= 4ms);
  });
}

TEST_CASE("bubble: a wait group belongs to one bubble at a time", "[testing][unit][ST-15]") {
  test::run_with_procs([] {
    weft::wait_group all;
    const std::string both = "sync: WaitGroup.Add called from inside and outside synctest bubble";
    all.add(1);
    bubble([&] { CHECK(contains(message_of([&] { all.add(1); }), both)); });
    all.done();
    all.wait();
    baton turn;
    baton back;
    auto other = weft::spawn([&] {
      turn.acquire();
      CHECK(contains(message_of([&] { all.add(1); }), both));
      bubble([&] {
        CHECK(contains(message_of([&] { all.add(1); }),
                       "sync: WaitGroup.Add called from multiple synctest bubbles"));
      });
      back.release();
      turn.acquire();
      all.add(1);  // free again
      all.done();
      back.release();
    });
    bubble([&] {
      all.add(1);
      turn.release();
      back.acquire();
      all.done();
      all.wait();
      turn.release();
      back.acquire();
    });
    other.join();
    bubble([&] {
      all.add(1);
      all.done();
    });
    all.add(1);  // that bubble has ended
    all.done();
  });
}

TEST_CASE("bubble: a condition is not signalled from outside", "[testing][unit][ST-16]") {
  test::run_with_procs([] {
    weft::mutex m;
    weft::cond c;
    baton turn;
    baton back;
    const std::string text = "semaphore wake of synctest goroutine from outside bubble";
    bool signalled = false;
    auto other = weft::spawn([&] {
      turn.acquire();
      CHECK(contains(message_of([&] { c.signal(); }), text));
      CHECK(contains(message_of([&] { c.broadcast(); }), text));
      CHECK_THROWS_AS(c.signal(), std::logic_error);
      bubble([&] { CHECK(contains(message_of([&] { c.signal(); }), text)); });
      back.release();
    });
    bubble([&] {
      auto waits = weft::spawn([&] {
        std::unique_lock held(m);
        c.wait(held);
        CHECK(signalled);
      });
      weft::testing::wait();
      turn.release();
      back.acquire();
      signalled = true;
      c.signal();
      waits.join();
    });
    other.join();
  });
}

TEST_CASE("bubble: a timer of zero is readable at once", "[testing][unit][ST-17]") {
  in_bubbles([] {
    const auto start = weft::clock::now();
    weft::timer t(0s);
    CHECK(t.c().try_recv() == start);
    std::atomic<bool> ran{false};
    const weft::timer f = weft::after_func(0s, [&] { ran = true; });
    while (!ran) weft::yield();  // this one is never blocked
    CHECK(weft::clock::now() == start);
  });
}

TEST_CASE("bubble: a timer read late tells when it was due", "[testing][unit][ST-18]") {
  in_bubbles([] {
    const auto start = weft::clock::now();
    weft::timer t(1s);
    weft::sleep_for(1h);
    CHECK(t.c().recv() == start + 1s);
    CHECK(weft::clock::now() == start + 1h);
  });
}

TEST_CASE("bubble: functions of timers belong to it", "[testing][unit][ST-19]") {
  in_bubbles([] {
    std::atomic<int> at{0};
    const auto start = weft::clock::now();
    const weft::timer f = weft::after_func(1s, [&] {
      weft::go([&] {
        weft::yield();
        at = weft::clock::now() == start + 1s ? 2 : 3;
      });
      weft::yield();
    });
    weft::sleep_for(1s);
    weft::testing::wait();
    CHECK(at == 2);
  });
}

TEST_CASE("bubble: those due at once run in varying order", "[testing][unit][ST-20]") {
  test::run_with_procs([] {
    std::set<std::vector<int>> orders;
    for (int round = 0; round < 2000 && orders.size() < 6; ++round) {
      std::vector<int> order;
      bubble([&] {
        weft::mutex m;
        for (int i = 0; i < 3; ++i)
          weft::go([&, i] {
            weft::sleep_for(1s);
            const std::lock_guard held(m);
            order.push_back(i);
          });
        weft::sleep_for(2s);
      });
      orders.insert(order);
    }
    CHECK(orders.size() == 6);
  });
}

TEST_CASE("wait: gives happens-before, as does the end", "[testing][unit][ST-21]") {
  test::run_with_procs([] {
    int plain = 0;  // ThreadSanitizer looks
    bubble([&] {
      weft::chan<int> ch = weft::make_chan<int>();
      weft::go([&] {
        plain = 1;
        (void)ch.recv();
        plain = 3;
      });
      weft::testing::wait();
      CHECK(plain == 1);
      plain = 2;
      ch.close();
    });
    CHECK(plain == 3);
  });
}

TEST_CASE("bubble: a context's timeout is exact", "[testing][unit][ST-22]") {
  in_bubbles([] {
    auto [ctx, cancel] = weft::with_timeout({}, 5s);
    auto [child, cancel_child] = weft::with_cancel(ctx);
    weft::sleep_for(5s - 1ns);
    weft::testing::wait();
    CHECK_FALSE(ctx.err());
    CHECK_FALSE(child.err());
    weft::sleep_for(1ns);
    weft::testing::wait();
    CHECK(ctx.err() == weft::errc::deadline_exceeded);
    CHECK(child.err() == weft::errc::deadline_exceeded);
  });
}

TEST_CASE("bubble: the function of a context runs before wait returns", "[testing][unit][ST-23]") {
  in_bubbles([] {
    auto [ctx, cancel] = weft::with_cancel({});
    std::atomic<bool> ran{false};
    const auto stop = weft::after_func(ctx, [&] { ran = true; });
    weft::testing::wait();
    CHECK_FALSE(ran);
    cancel();
    weft::testing::wait();
    CHECK(ran);
  });
}

TEST_CASE("bubble: a deadline of outside and one of inside do not mix", "[testing][unit][ST-02]") {
  test::run_with_procs([] {
    auto [outer, cancel_outer] = weft::with_timeout({}, 1h);
    bubble([&, &parent = outer] {
      const auto start = weft::clock::now();
      auto [ctx, cancel] = weft::with_timeout(parent, 2h);
      CHECK(ctx.deadline() == start + 2h);
      weft::sleep_for(2h);
      weft::testing::wait();
      CHECK(ctx.err() == weft::errc::deadline_exceeded);
      CHECK_FALSE(parent.err());
    });
  });
}

TEST_CASE("bubble: many at once, each with a clock of its own", "[testing][unit][ST-01][ST-02]") {
  test::run_with_procs([] {
    std::vector<weft::join_handle<void>> all;
    for (int i = 0; i < 20; ++i)
      all.push_back(weft::spawn([i] {
        bubble([i] {
          const auto start = weft::clock::now();
          for (int k = 0; k < 10; ++k) weft::sleep_for(std::chrono::hours(i));
          // Not an assertion: they run at once.
          if (weft::clock::now() != start + std::chrono::hours(10 * i))
            throw std::logic_error("another time");
        });
      }));
    for (auto& one : all) one.join();
  });
}

TEST_CASE("bubble: states say what is durable", "[testing][unit][SC-22]") {
  test::run_with_procs([] {
    bubble([] {
      weft::mutex m;
      m.lock();
      const auto state_of = [](auto blocks) {
        auto blocked = weft::spawn(blocks);
        std::string state;
        for (int i = 0; i < 1000; ++i) {
          weft::yield();
          for (const auto& f : weft::debug::fibers(weft::debug::stacks::none))
            if (f.name == "looked at") state = f.state;
        }
        return std::pair(std::move(blocked), state);
      };
      auto [sleeper, sleeping] = state_of([] {
        weft::this_fiber::set_name("looked at");
        weft::sleep_for(1s);
      });
      CHECK(sleeping == "sleep (durable)");
      sleeper.join();
      auto [locker, locking] = state_of([&] {
        weft::this_fiber::set_name("looked at");
        m.lock();
      });
      CHECK(locking == "sync.Mutex.Lock");
      m.unlock();
      locker.join();
    });
  });
}
