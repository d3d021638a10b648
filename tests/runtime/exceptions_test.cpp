// Exceptions, errno and the floating-point modes belong to the fiber, over parks and threads.
//
// Without a swap of the exception globals most of these fail in one of two ways: a rethrow gives
// the exception of another fiber, or std::current_exception is empty on the other thread.
#include <array>
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <exception>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"

namespace {

// A fiber calls move_on() and goes on on another thread than the main fiber's: the main fiber makes
// it runnable and then keeps its own thread busy without a runtime entry until it has gone on. The
// fiber's first steps run on the main fiber's thread (there is one processor), so its thread
// changes.
class mover {
 public:
  // By the fiber.
  void move_on() {
    asked_.send({});
    (void)go_on_.recv();
    resumed_ = true;
    threads_.add(test::thread_now());
  }

  // By the main fiber, `moves` times.
  void serve(int moves) {
    for (int i = 0; i < moves; ++i) {
      (void)asked_.recv();
      resumed_ = false;
      go_on_.send({});
      REQUIRE(test::spin_until_set(resumed_));
    }
  }

  // Runs `body` in a fiber whose thread changes on its way; `body` calls move_on `moves` times.
  template <class F>
  static void run(int moves, F body) {
    weft::run(
        [&] {
          mover m;
          weft::join_handle<void> fiber = weft::spawn([&] {
            m.threads_.add(test::thread_now());
            body(m);
          });
          m.serve(moves);
          fiber.join();
          const std::vector<std::thread::id> all = m.threads_.all();
          CHECK(std::set<std::thread::id>(all.begin(), all.end()).size() >= 2);
        },
        weft::options{.procs = 1});
  }

 private:
  weft::chan<weft::unit> asked_ = weft::make_chan<weft::unit>(1);
  weft::chan<weft::unit> go_on_ = weft::make_chan<weft::unit>(1);
  std::atomic<bool> resumed_{false};
  test::notes<std::thread::id> threads_;
};

}  // namespace

TEST_CASE("exceptions: a fiber that blocks inside a catch block goes on on another thread",
          "[runtime][os][SC-16]") {
  test::expectations e;
  mover::run(2, [&](mover& m) {
    try {
      try {
        throw std::runtime_error("first");
      } catch (const std::runtime_error& r) {
        const std::exception_ptr before = std::current_exception();
        m.move_on();
        e.that(std::current_exception() == before, "current_exception is the same after the move");
        e.that(std::string(r.what()) == "first", "the exception object is intact");
        m.move_on();
        throw;  // without the swap: std::terminate, or somebody else's exception
      }
    } catch (const std::runtime_error& r) {
      e.that(std::string(r.what()) == "first", "the rethrown exception is the first one");
      e.that(std::uncaught_exceptions() == 0, "nothing is in flight in the handler");
    }
    e.that(std::current_exception() == nullptr, "no exception is left");
  });
  CHECK(e.failures() == "");
}

TEST_CASE("exceptions: a destructor that blocks while one is in flight wakes on another thread",
          "[runtime][os][SC-16][SC-19]") {
  struct blocker {
    mover* m;
    test::expectations* e;
    ~blocker() {
      e->that(std::uncaught_exceptions() == 1, "one is in flight before the move");
      m->move_on();
      e->that(std::uncaught_exceptions() == 1, "one is in flight after the move");
    }
  };
  test::expectations e;
  mover::run(1, [&](mover& m) {
    try {
      const blocker b{&m, &e};
      throw 17;
    } catch (int n) {
      e.that(n == 17, "the exception in flight arrives");
    }
    e.that(std::uncaught_exceptions() == 0, "nothing is in flight at the end");
  });
  CHECK(e.failures() == "");
}

TEST_CASE("exceptions: interleaved handlers rethrow each its own", "[runtime][unit][SC-16]") {
  test::run_with_procs([] {
    test::expectations e;
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 16; ++i) {
      fibers.push_back(weft::spawn([i, &e] {
        for (int round = 0; round < 30; ++round) {
          const int value = i * 1000 + round;
          try {
            try {
              throw value;
            } catch (int) {
              weft::yield();  // others throw, catch and rethrow meanwhile
              try {
                throw std::runtime_error(std::to_string(value));
              } catch (const std::runtime_error& r) {
                weft::yield();
                e.that(r.what() == std::to_string(value), "the inner handler has its exception");
              }
              weft::yield();
              throw;
            }
          } catch (int n) {
            e.that(n == value, "the outer handler gets what was thrown first");
          }
          e.that(std::current_exception() == nullptr, "no exception is left");
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("exceptions: uncaught_exceptions counts this fiber's only", "[runtime][unit][SC-16]") {
  struct blocker {
    weft::chan<int> gate;
    test::expectations* e;
    ~blocker() {
      e->that(std::uncaught_exceptions() == 1, "before the park");
      (void)gate.recv();
      e->that(std::uncaught_exceptions() == 1, "after the park");
    }
  };
  test::run_with_procs([] {
    test::expectations e;
    weft::chan<int> gate = weft::make_chan<int>();
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 8; ++i) {
      fibers.push_back(weft::spawn([gate, &e] {
        try {
          const blocker b{gate, &e};
          throw 1;
        } catch (int) {
          e.that(std::uncaught_exceptions() == 0, "in the handler");
        }
      }));
    }
    test::until_blocked(8, "chan receive");
    CHECK(std::uncaught_exceptions() == 0);  // eight are in flight, none of them here
    CHECK_THROWS_AS([] { throw std::logic_error("mine"); }(), std::logic_error);
    gate.close();
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("exceptions: a fiber started inside a handler starts without an exception",
          "[runtime][unit][SC-16]") {
  test::run_with_procs([] {
    bool clean = false;
    try {
      throw 1;
    } catch (int) {
      clean = weft::spawn([] {
                return std::current_exception() == nullptr && std::uncaught_exceptions() == 0;
              }).join();
      CHECK(std::current_exception() != nullptr);
    }
    CHECK(clean);
  });
}

TEST_CASE("exceptions: nested ones keep their chain over parks", "[runtime][unit][SC-16]") {
  test::run_with_procs([] {
    test::expectations e;
    std::vector<weft::join_handle<std::string>> fibers;
    for (int i = 0; i < 8; ++i) {
      fibers.push_back(weft::spawn([i]() -> std::string {
        try {
          try {
            weft::yield();
            throw std::runtime_error("inner " + std::to_string(i));
          } catch (...) {
            weft::yield();
            std::throw_with_nested(std::logic_error("outer " + std::to_string(i)));
          }
        } catch (const std::logic_error& outer) {
          weft::yield();
          try {
            std::rethrow_if_nested(outer);
          } catch (const std::runtime_error& inner) {
            weft::yield();
            return std::string(outer.what()) + "/" + inner.what();
          }
        }
        return "lost";
      }));
    }
    for (int i = 0; i < 8; ++i) {
      const std::string n = std::to_string(i);
      e.that(fibers[static_cast<std::size_t>(i)].join() == "outer " + n + "/inner " + n, "chain");
    }
    CHECK(e.failures() == "");
  });
}

TEST_CASE("exceptions: an exception_ptr travels to another fiber", "[runtime][unit][SC-16]") {
  test::run_with_procs([] {
    weft::chan<std::exception_ptr> ch = weft::make_chan<std::exception_ptr>();
    weft::go([ch] {
      try {
        throw std::out_of_range("far");
      } catch (...) {
        ch.send(std::current_exception());
      }
    });
    const std::exception_ptr p = ch.recv().value();
    CHECK_THROWS_AS(std::rethrow_exception(p), std::out_of_range);
  });
}

TEST_CASE("exceptions: deep stacks with many destructors unwind while others run",
          "[runtime][unit][SC-16][SC-19]") {
  struct frame {
    static void down(int depth, std::atomic<int>& destroyed) {
      const test::sentinel s(destroyed);
      if (depth == 0) {
        weft::yield();
        throw std::runtime_error("bottom");
      }
      down(depth - 1, destroyed);
    }
  };
  test::run_with_procs([] {
    std::atomic<int> destroyed{0};
    std::vector<weft::join_handle<bool>> fibers;
    for (int i = 0; i < 20; ++i) {
      fibers.push_back(weft::spawn([&] {
        try {
          frame::down(50, destroyed);
        } catch (const std::runtime_error&) {
          return true;
        }
        return false;
      }));
    }
    for (weft::join_handle<bool>& f : fibers) CHECK(f.join());
    CHECK(destroyed == 20 * 51);
  });
}

TEST_CASE("destructors: run in reverse order and may block, start fibers and catch",
          "[runtime][unit][SC-19]") {
  struct step {
    int number;
    test::notes<int>* order;
    ~step() {
      weft::yield();
      const int got = weft::spawn([n = number] { return n; }).join();
      try {
        throw got;
      } catch (int n) {
        order->add(n);
      }
    }
  };
  enum class way { returns, throws, exits };
  test::run_with_procs([] {
    for (const way w : {way::returns, way::throws, way::exits}) {
      test::notes<int> order;
      weft::join_handle<void> h = weft::spawn([&] {
        const step one{1, &order};
        const step two{2, &order};
        const step three{3, &order};
        if (w == way::throws) throw 5;
        if (w == way::exits) weft::exit_fiber();
      });
      if (w == way::returns) {
        h.join();
      } else if (w == way::throws) {
        CHECK_THROWS_AS(h.join(), int);
      } else {
        CHECK_THROWS_AS(h.join(), std::system_error);
      }
      CHECK(order.all() == std::vector<int>{3, 2, 1});
    }
  });
}

TEST_CASE("errno: is kept per fiber over a park", "[runtime][unit][SC-29]") {
  test::run_with_procs([] {
    test::expectations e;
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 1; i <= 12; ++i) {
      fibers.push_back(weft::spawn([i, &e] {
        for (int round = 0; round < 40; ++round) {
          test::set_errno(i);
          weft::yield();
          e.that(test::errno_now() == i, "errno after yield");
          test::set_errno(i + 100);
          weft::chan<int> ch = weft::make_chan<int>();
          weft::join_handle<void> other = weft::spawn([ch] {
            test::set_errno(EDOM);
            ch.send(1);
          });
          test::set_errno(i + 100);
          (void)ch.recv();
          e.that(test::errno_now() == i + 100, "errno after receive");
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("errno: moves with the fiber to another thread", "[runtime][os][SC-29]") {
  test::expectations e;
  mover::run(2, [&](mover& m) {
    test::set_errno(ENOTTY);
    m.move_on();
    e.that(test::errno_now() == ENOTTY, "errno after the first move");
    test::set_errno(EXDEV);
    m.move_on();
    e.that(test::errno_now() == EXDEV, "errno after the second move");
  });
  CHECK(e.failures() == "");
}

namespace {

// What the rounding mode does to a division by the unit of double (MXCSR on x86-64) and by the one
// of long double (the x87 control word there).
struct quotients {
  int mode;
  double q;
  long double long_q;

  WEFT_NOINLINE static quotients now() {
    volatile double one = 1.0;
    volatile double three = -3.0;
    volatile long double long_one = 1.0L;
    volatile long double long_three = -3.0L;
    return {std::fegetround(), one / three, long_one / long_three};
  }
  bool operator==(const quotients&) const = default;
};

}  // namespace

TEST_CASE("floating point: the rounding mode is kept per fiber over parks",
          "[runtime][unit][SC-29]") {
  test::run_with_procs([] {
    std::fesetround(FE_UPWARD);
    const quotients up = quotients::now();
    std::fesetround(FE_DOWNWARD);
    const quotients down = quotients::now();
    std::fesetround(FE_TONEAREST);
    REQUIRE(up.q != down.q);  // else nothing below could fail
    REQUIRE(up.long_q != down.long_q);

    test::expectations e;
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 9; ++i) {
      static constexpr std::array<int, 3> modes{FE_UPWARD, FE_DOWNWARD, FE_TONEAREST};
      const int mode = modes[static_cast<std::size_t>(i) % modes.size()];
      fibers.push_back(weft::spawn([mode, &e] {
        std::fesetround(mode);
        const quotients before = quotients::now();
        for (int round = 0; round < 50; ++round) {
          weft::yield();
          e.that(quotients::now() == before, "the mode after a park");
        }
        std::fesetround(FE_TONEAREST);
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
    CHECK(std::fegetround() == FE_TONEAREST);
  });
}

TEST_CASE("floating point: the mode moves with the fiber to another thread",
          "[runtime][os][SC-29]") {
  test::expectations e;
  mover::run(2, [&](mover& m) {
    for (const int mode : {FE_UPWARD, FE_DOWNWARD}) {
      std::fesetround(mode);
      const quotients before = quotients::now();
      m.move_on();
      e.that(quotients::now() == before, "the mode after the move");
    }
    std::fesetround(FE_TONEAREST);
  });
  CHECK(e.failures() == "");
}
