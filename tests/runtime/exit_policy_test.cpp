// What becomes of the fibers that are alive when main returns: abandon, wait, unwind.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
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

weft::options with(weft::exit_policy policy, unsigned procs) {
  weft::options o;
  o.procs = procs;
  o.on_exit = policy;
  return o;
}

template <class F>
void for_each_procs(F body) {
  for (const unsigned procs : {1U, 2U, 4U}) {
    INFO("procs: " << procs);
    body(procs);
  }
}

// Locks and the like in which every fiber that comes blocks.
struct taken {
  weft::semaphore permits{1};
  weft::wait_group group;
  weft::mutex mutex;

  taken() {
    permits.acquire();
    group.add();
    mutex.lock();
  }

  // A waiter that was left in a queue would be granted here what nobody else then gets.
  void check_that_nobody_waits() {
    permits.release();
    CHECK(permits.try_acquire());
    mutex.unlock();
    CHECK(mutex.try_lock());
    mutex.unlock();
    group.done();
    group.wait();
  }
};

}  // namespace

TEST_CASE("abandon: fibers never run again and are not unwound", "[runtime][unit][SC-03]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> destroyed{0};
    std::atomic<int> resumed{0};
    weft::chan<int> outside = weft::make_chan<int>();
    weft::run(
        [&] {
          for (int i = 0; i < 8; ++i) {
            weft::go([&, outside] {
              test::sentinel s(destroyed);
              (void)outside.recv();
              ++resumed;
            });
          }
          test::until_blocked(8, "chan receive");
        },
        with(weft::exit_policy::abandon, procs));
    CHECK(destroyed == 0);
    // Their places in the channel's queue went with their stacks: a value sent now would be written
    // into freed memory, or be lost to a fiber that never takes it.
    CHECK_FALSE(outside.try_send(1));
    CHECK(resumed == 0);
  });
}

TEST_CASE("abandon: waiters leave the queues of channels, locks and contexts",
          "[runtime][unit][SC-03][SC-36]") {
  // What outlives the runtime stays usable: any waiter left behind would be claimed below.
  for_each_procs([](unsigned procs) {
    weft::chan<int> receivers = weft::make_chan<int>();
    weft::chan<int> senders = weft::make_chan<int>();
    weft::chan<int> other = weft::make_chan<int>();
    taken by_main;
    weft::run(
        [&] {
          weft::go([=] { (void)receivers.recv(); });
          weft::go([=] { senders.send(1); });
          weft::go([=] { weft::select(weft::recv(receivers), weft::recv(other)); });
          weft::go([=] { weft::select(weft::send(senders, 2), weft::timeout(1h)); });
          weft::go([&] { by_main.permits.acquire(); });
          weft::go([&] { by_main.group.wait(); });
          weft::go([&] { by_main.mutex.lock(); });
          weft::go([] { weft::sleep_for(1h); });
          test::until_blocked(8);
        },
        with(weft::exit_policy::abandon, procs));
    CHECK_FALSE(receivers.try_send(1));
    CHECK_FALSE(other.try_send(1));
    CHECK_FALSE(senders.try_recv().has_value());
    by_main.check_that_nobody_waits();
  });
}

TEST_CASE("wait: run returns when all fibers have ended", "[runtime][unit][SC-03]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> ended{0};
    const int result = weft::run(
        [&] {
          for (int i = 0; i < 10; ++i) {
            weft::go([&] {
              for (int k = 0; k < 20; ++k) weft::yield();
              weft::sleep_for(2ms);
              // Started when main has long returned; they count as well.
              weft::go([&] {
                weft::yield();
                ++ended;
              });
              ++ended;
            });
          }
          return 6;
        },
        with(weft::exit_policy::wait, procs));
    CHECK(result == 6);
    CHECK(ended == 20);
  });
}

TEST_CASE("wait: holds also when main ends by an exception", "[runtime][unit][SC-03]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> ended{0};
    CHECK_THROWS_AS(weft::run(
                        [&] {
                          weft::go([&] {
                            for (int k = 0; k < 50; ++k) weft::yield();
                            ++ended;
                          });
                          throw std::out_of_range("main");
                        },
                        with(weft::exit_policy::wait, procs)),
                    std::out_of_range);
    CHECK(ended == 1);
  });
}

TEST_CASE("unwind: every parked fiber's destructors run before run returns",
          "[runtime][unit][SC-03][SC-19]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> destroyed{0};
    std::atomic<int> went_on{0};
    weft::chan<int> ch = weft::make_chan<int>();
    taken by_main;
    weft::run(
        [&] {
          const auto park_in = [&](auto operation) {
            weft::go([&, operation] {
              test::sentinel outer(destroyed);
              test::sentinel inner(destroyed);
              operation();
              ++went_on;
            });
          };
          park_in([=] { (void)ch.recv(); });
          park_in([=] { weft::chan<int>().send(1); });
          park_in([=] { (void)weft::chan<int>().recv(); });
          park_in([=] { weft::select(weft::recv(ch), weft::timeout(1h)); });
          park_in([] { weft::select(); });
          park_in([] { weft::sleep_for(1h); });
          park_in([&] { by_main.permits.acquire(); });
          park_in([&] { by_main.group.wait(); });
          park_in([&] { by_main.mutex.lock(); });
          test::until_blocked(9);
        },
        with(weft::exit_policy::unwind, procs));
    CHECK(destroyed == 18);
    CHECK(went_on == 0);
    CHECK_FALSE(ch.try_send(1));  // and the queues are empty
    by_main.check_that_nobody_waits();
  });
}

TEST_CASE("unwind: fibers that yield, and fibers that never ran, go too",
          "[runtime][unit][SC-03]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> destroyed{0};
    std::atomic<int> started{0};
    weft::run(
        [&] {
          for (int i = 0; i < 6; ++i) {
            weft::go([&] {
              test::sentinel s(destroyed);
              ++started;
              for (;;) weft::yield();
            });
          }
          test::until([&] { return started == 6; }, "all have started");
          for (int k = 0; k < 20; ++k) weft::yield();
          // With one processor these are still in the queue when main returns: their callables are
          // destroyed all the same.
          for (int i = 0; i < 10; ++i) {
            weft::go([s = std::make_unique<test::sentinel>(destroyed)] {
              for (;;) weft::yield();
            });
          }
        },
        with(weft::exit_policy::unwind, procs));
    CHECK(destroyed == 16);
  });
}

TEST_CASE("unwind: passes typed handlers, and one that swallows it only delays it",
          "[runtime][unit][SC-03][SC-13]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> destroyed{0};
    std::atomic<int> typed{0};
    std::atomic<int> swallowed{0};
    weft::run(
        [&] {
          weft::go([&] {
            test::sentinel s(destroyed);
            try {
              (void)weft::chan<int>().recv();
            } catch (const std::exception&) {
              ++typed;
            }
          });
          weft::go([&] {
            test::sentinel s(destroyed);
            for (;;) {
              try {
                (void)weft::chan<int>().recv();
              } catch (...) {
                if (++swallowed == 3) throw;
              }
            }
          });
          test::until_blocked(2, "chan receive (nil chan)");
        },
        with(weft::exit_policy::unwind, procs));
    CHECK(destroyed == 2);
    CHECK(typed == 0);
    CHECK(swallowed == 3);
  });
}

TEST_CASE("unwind: a fiber that joins in a destructor is unwound after what it waits for",
          "[runtime][unit][SC-03]") {
  for_each_procs([](unsigned procs) {
    test::notes<std::string> order;
    struct logger {
      test::notes<std::string>* to;
      std::string text;
      ~logger() { to->add(text); }
    };
    weft::run(
        [&] {
          weft::go([&] {
            logger outer{&order, "parent"};
            {
              weft::join_handle<void> child = weft::spawn([&] {
                logger inner{&order, "child"};
                (void)weft::chan<int>().recv();
              });
            }  // parked here, in a noexcept frame
            order.add("joined");
            (void)weft::chan<int>().recv();
            order.add("never");
          });
          test::until_blocked(2);
        },
        with(weft::exit_policy::unwind, procs));
    CHECK(order.all() == std::vector<std::string>{"child", "joined", "parent"});
  });
}

TEST_CASE("unwind: destructors may yield and start fibers", "[runtime][unit][SC-03][SC-19]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> destroyed{0};
    struct busy {
      std::atomic<int>* destroyed;
      ~busy() {
        weft::yield();
        try {
          throw 1;
        } catch (int) {
          ++*destroyed;
        }
        weft::yield();
      }
    };
    weft::run(
        [&] {
          for (int i = 0; i < 5; ++i) {
            weft::go([&] {
              busy b{&destroyed};
              (void)weft::chan<int>().recv();
            });
          }
          test::until_blocked(5);
        },
        with(weft::exit_policy::unwind, procs));
    CHECK(destroyed == 5);
  });
}

TEST_CASE("unwind: a hog goes at its next runtime entry", "[runtime][os][SC-03][SC-36]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> destroyed{0};
    std::atomic<bool> hogging{false};
    weft::run(
        [&] {
          weft::go([&] {
            test::sentinel s(destroyed);
            hogging = true;
            test::spin_for(200ms);
            for (;;) weft::yield();
          });
          test::until([&] { return hogging.load(); }, "the hog spins");
        },
        with(weft::exit_policy::unwind, procs));
    CHECK(destroyed == 1);
  });
}

TEST_CASE("shutdown: follows the policy, for a runtime that is an object",
          "[runtime][unit][SC-03][SC-36]") {
  for_each_procs([](unsigned procs) {
    std::atomic<int> destroyed{0};
    const auto park_one = [&](weft::runtime& rt) {
      rt.block_on([&] {
        weft::go([&] {
          test::sentinel s(destroyed);
          (void)weft::chan<int>().recv();
        });
        test::until_blocked(1, "chan receive (nil chan)");
      });
    };
    {
      weft::runtime rt(with(weft::exit_policy::unwind, procs));
      park_one(rt);
      rt.shutdown();
      CHECK(destroyed == 1);
    }
    {
      weft::runtime rt(with(weft::exit_policy::unwind, procs));
      park_one(rt);
    }
    CHECK(destroyed == 2);
    {
      weft::runtime rt(with(weft::exit_policy::abandon, procs));
      park_one(rt);
    }
    CHECK(destroyed == 2);
    std::atomic<int> ended{0};
    {
      weft::runtime rt(with(weft::exit_policy::wait, procs));
      for (int i = 0; i < 10; ++i) {
        rt.go([&] {
          weft::sleep_for(1ms);
          ++ended;
        });
      }
    }
    CHECK(ended == 10);
  });
}

TEST_CASE("shutdown: waits for a blocking call to come to its end", "[runtime][os][SC-36]") {
  for_each_procs([](unsigned procs) {
    std::atomic<bool> inside{false};
    std::atomic<bool> finished{false};
    weft::run(
        [&] {
          weft::go([&] {
            weft::blocking([&] {
              inside = true;
              test::spin_for(300ms);
              finished = true;
            });
          });
          test::until([&] { return inside.load(); }, "the call has begun");
        },
        with(weft::exit_policy::abandon, procs));
    CHECK(finished);
  });
}

TEST_CASE("shutdown: a hog that never comes to an entry is named after ten seconds",
          "[runtime][os][long][SC-36]") {
  for (const weft::exit_policy policy : {weft::exit_policy::abandon, weft::exit_policy::unwind}) {
    const test::child_end end = test::in_child([policy] {
      std::atomic<bool> hogging{false};
      const std::int64_t start = weft::detail::monotonic_ns();
      weft::run(
          [&] {
            weft::go(weft::fiber_options{"stubborn"}, [&] {
              hogging = true;
              volatile unsigned turns = 0;
              for (;;) turns = turns + 1;
            });
            test::eventually([&] { return hogging.load(); });
          },
          with(policy, 2));
      const std::int64_t waited = (weft::detail::monotonic_ns() - start) / 1'000'000'000;
      // Waited for once, not for unwinding and again for the end.
      const char* word = waited < 10 ? "too early" : waited >= 20 ? "waited twice" : "went on";
      std::fprintf(stderr, "%s\n", word);
    });
    CHECK(end.status == 0);
    CHECK(test::contains(end.err, "stubborn"));
    CHECK(test::contains(end.err, "went on"));
  }
}
