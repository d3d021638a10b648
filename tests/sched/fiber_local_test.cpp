// fiber_local: a value for each fiber, made at first use, destroyed at the fiber's end.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"

namespace {

std::atomic<int> made{0};
std::atomic<int> destroyed{0};

struct counted {
  counted() { ++made; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { ++destroyed; }
  int value = 7;
};

void reset() {
  made = 0;
  destroyed = 0;
}

weft::fiber_local<counted> local;
weft::fiber_local<std::string> text;

static_assert(!std::is_copy_constructible_v<weft::fiber_local<int>>);

}  // namespace

TEST_CASE("fiber_local: is made at first use, once for each fiber", "[sched][unit][SC-28]") {
  test::run_with_procs([] {
    reset();
    CHECK(weft::spawn([] { return 0; }).join() == 0);
    CHECK(made == 0);  // not for those that never use it
    test::expectations e;
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 10; ++i) {
      fibers.push_back(weft::spawn([i, &e] {
        e.that(local->value == 7, "a new fiber finds a new value");
        counted* const mine = &local.get();
        mine->value = i;
        for (int k = 0; k < 20; ++k) {
          weft::yield();
          e.that(&*local == mine, "the same object after a park");
          e.that(local->value == i, "the fiber's own value");
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
    CHECK(made == 10);
    CHECK(destroyed == 10);
  });
}

TEST_CASE("fiber_local: is destroyed on every way out", "[sched][unit][SC-28]") {
  test::run_with_procs([] {
    reset();
    weft::spawn([] { local->value = 1; }).join();
    CHECK(destroyed == 1);
    CHECK_THROWS_AS(weft::spawn([] {
                      local->value = 1;
                      throw std::runtime_error("out");
                    }).join(),
                    std::runtime_error);
    CHECK(destroyed == 2);
    CHECK_THROWS_AS(weft::spawn([] {
                      local->value = 1;
                      weft::exit_fiber();
                    }).join(),
                    std::system_error);
    CHECK(destroyed == 3);
    weft::go([] { local->value = 1; });
    test::until([] { return destroyed == 4; }, "the detached fiber's value is destroyed");
    CHECK(made == 4);
  });
}

TEST_CASE("fiber_local: main's value goes with the run", "[sched][unit][SC-28]") {
  for (const unsigned procs : {1U, 2U, 4U}) {
    reset();
    weft::run([] { local->value = 3; }, weft::options{.procs = procs});
    CHECK(made == 1);
    CHECK(destroyed == 1);
    CHECK_THROWS_AS(weft::run(
                        [] {
                          local->value = 3;
                          throw 1;
                        },
                        weft::options{.procs = procs}),
                    int);
    CHECK(destroyed == 2);
  }
}

TEST_CASE("fiber_local: is destroyed when the run unwinds its fiber, not when it abandons it",
          "[sched][unit][SC-28][SC-03]") {
  for (const unsigned procs : {1U, 2U, 4U}) {
    for (const bool unwind : {true, false}) {
      reset();
      weft::options o;
      o.procs = procs;
      o.on_exit = unwind ? weft::exit_policy::unwind : weft::exit_policy::abandon;
      weft::run(
          [] {
            for (int i = 0; i < 5; ++i) {
              weft::go([] {
                local->value = 1;
                (void)weft::chan<int>().recv();
              });
            }
            test::until_blocked(5, "chan receive (nil chan)");
          },
          o);
      CHECK(made == 5);
      CHECK(destroyed == (unwind ? 5 : 0));
    }
  }
}

TEST_CASE("fiber_local: a value is destroyed after the fiber's locals, and may use others",
          "[sched][unit][SC-28][SC-19]") {
  static std::atomic<int> order_errors{0};
  static std::atomic<int> ended{0};
  static weft::fiber_local<std::string> note;
  struct last {
    ~last() {
      // The fiber is still one: it may park, and use other values, even new ones.
      weft::yield();
      if (*text != "set") ++order_errors;
      note.get() = "made in a destructor, longer than a small string holds";
      ++ended;
    }
  };
  static weft::fiber_local<last> watcher;
  test::run_with_procs([] {
    order_errors = 0;
    ended = 0;
    weft::spawn([] {
      *text = "set";
      watcher.get();  // made last, destroyed first
      struct local_object {
        ~local_object() {
          if (ended != 0) ++order_errors;
        }
      } o;
      weft::yield();
    }).join();
    CHECK(ended == 1);
    CHECK(order_errors == 0);
  });
}

TEST_CASE("fiber_local: many of them, each with its own value", "[sched][unit][SC-28]") {
  test::run_with_procs([] {
    std::array<weft::fiber_local<int>, 50> many;
    test::expectations e;
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 8; ++i) {
      fibers.push_back(weft::spawn([&, i] {
        for (std::size_t k = 0; k < many.size(); ++k) *many[k] = i * 100 + static_cast<int>(k);
        weft::yield();
        for (std::size_t k = 0; k < many.size(); ++k)
          e.that(*many[k] == i * 100 + static_cast<int>(k), "each keeps its own");
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
    // New fibers find new values, though records and stacks are used again.
    CHECK(weft::spawn([&] { return *many[0]; }).join() == 0);
  });
}

TEST_CASE("fiber_local: follows the fiber where a thread_local stays with the thread",
          "[sched][os][SC-28]") {
  weft::run(
      [] {
        std::atomic<bool> moved{false};
        weft::chan<int> ch = weft::make_chan<int>(1);
        weft::join_handle<bool> h = weft::spawn([&, ch] {
          const std::thread::id before = test::thread_now();
          local->value = 99;
          (void)ch.recv();
          const bool other_thread = test::thread_now() != before;
          const bool same_value = local->value == 99;
          moved = true;
          return other_thread && same_value;
        });
        weft::yield();  // it waits, on this thread: there is one processor
        ch.send(1);
        REQUIRE(test::spin_until_set(moved));  // so it went on on another
        CHECK(h.join());
      },
      weft::options{.procs = 1});
}
