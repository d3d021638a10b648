// exit_fiber: the stack is unwound, handlers do not catch it, others are unaffected.
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
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

struct logger {
  test::notes<std::string>* to;
  std::string text;
  ~logger() { to->add(text); }
};

using strings = std::vector<std::string>;

// Runs `f` in a fiber and waits for it, however it ends.
template <class F>
void run_to_its_end(F f) {
  try {
    weft::spawn(std::move(f)).join();
  } catch (const std::system_error&) {
  }
}

}  // namespace

TEST_CASE("exit_fiber: destructors run, inner ones first, and nothing after it",
          "[sched][unit][SC-13][SC-19]") {
  test::run_with_procs([] {
    test::notes<std::string> log;
    struct frames {
      static void inner(test::notes<std::string>& log) {
        const logger a{&log, "inner"};
        weft::exit_fiber();
      }
      static void outer(test::notes<std::string>& log) {
        const logger a{&log, "outer"};
        inner(log);
        log.add("never");
      }
    };
    run_to_its_end([&] {
      const logger a{&log, "bottom"};
      frames::outer(log);
      log.add("never");
    });
    CHECK(log.all() == strings{"inner", "outer", "bottom"});
    CHECK(weft::num_fibers() == 1);
  });
}

TEST_CASE("exit_fiber: is not caught by a typed handler", "[sched][unit][SC-13]") {
  test::run_with_procs([] {
    test::notes<std::string> log;
    run_to_its_end([&] {
      try {
        const logger a{&log, "unwound"};
        weft::exit_fiber();
      } catch (const std::exception&) {
        log.add("caught std::exception");
      } catch (int) {
        log.add("caught int");
      }
      log.add("went on");
    });
    CHECK(log.all() == strings{"unwound"});
  });
}

TEST_CASE("exit_fiber: passes a handler that catches all and rethrows", "[sched][unit][SC-13]") {
  test::run_with_procs([] {
    test::notes<std::string> log;
    run_to_its_end([&] {
      try {
        weft::exit_fiber();
      } catch (...) {
        log.add("cleaned up");
        throw;
      }
      log.add("went on");
    });
    CHECK(log.all() == strings{"cleaned up"});
  });
}

TEST_CASE("exit_fiber: a handler that swallows it delays it to the next runtime entry",
          "[sched][unit][SC-13]") {
  test::run_with_procs([] {
    const auto swallow_then = [](auto entry) {
      test::notes<std::string> log;
      run_to_its_end([&] {
        const logger a{&log, "unwound"};
        try {
          weft::exit_fiber();
        } catch (...) {
          log.add("swallowed");
        }
        log.add("computes");
        entry();
        log.add("went on");
      });
      CHECK(log.all() == strings{"swallowed", "computes", "unwound"});
    };
    weft::chan<int> buffered = weft::make_chan<int>(100);
    weft::mutex mutex;
    swallow_then([] { weft::yield(); });
    swallow_then([=] { buffered.send(1); });
    swallow_then([] { (void)weft::chan<int>().recv(); });
    swallow_then([] { weft::sleep_for(std::chrono::milliseconds(1)); });
    swallow_then([] { weft::select(); });
    swallow_then([&] { mutex.lock(); });
    swallow_then([] { weft::exit_fiber(); });
    CHECK(mutex.try_lock());
  });
}

TEST_CASE("exit_fiber: a fiber that swallows it and then returns has left by it",
          "[sched][unit][SC-13]") {
  test::run_with_procs([] {
    // It has no entry left at which to be unwound: it ends by returning, and hurts nobody.
    test::tally ended;
    weft::go([&] {
      try {
        weft::exit_fiber();
      } catch (...) {
      }
      ended.add();
    });
    test::until([&] { return ended.count() == 1 && weft::num_fibers() == 1; }, "it has ended");
  });
}

TEST_CASE("exit_fiber: others are unaffected", "[sched][unit][SC-13]") {
  test::run_with_procs([] {
    weft::chan<int> ch = weft::make_chan<int>();
    std::atomic<int> unwound{0};
    for (int i = 0; i < 100; ++i) {
      weft::go([&] {
        const test::sentinel s(unwound);
        weft::yield();
        weft::exit_fiber();
      });
      weft::go([=] { ch.send(1); });
    }
    int sum = 0;
    for (int i = 0; i < 100; ++i) sum += ch.recv().value();
    CHECK(sum == 100);
    test::until([&] { return unwound == 100; }, "all have been unwound");
  });
}

TEST_CASE("exit_fiber: in a destructor's, a deep and a blocked-before frame",
          "[sched][unit][SC-13]") {
  struct deep {
    static void down(int n, std::atomic<int>& unwound) {
      const test::sentinel s(unwound);
      weft::yield();
      if (n == 0) leave();
      if (n > 0) down(n - 1, unwound);
    }
    static void leave() {  // not marked noreturn: else all of this looks like endless recursion
      if (weft::this_fiber::id() != weft::fiber_id{}) weft::exit_fiber();
    }
  };
  test::run_with_procs([] {
    std::atomic<int> unwound{0};
    for (int i = 0; i < 20; ++i) run_to_its_end([&] { deep::down(100, unwound); });
    CHECK(unwound == 20 * 101);
  });
}

TEST_CASE("exit_fiber: while an exception is handled drops that exception",
          "[sched][unit][SC-13]") {
  struct tracked {
    explicit tracked(std::atomic<int>& n) : destroyed(std::make_shared<test::sentinel>(n)) {}
    std::shared_ptr<test::sentinel> destroyed;
  };
  test::run_with_procs([] {
    std::atomic<int> dropped{0};
    std::atomic<int> unwound{0};
    for (int i = 0; i < 20; ++i) {
      run_to_its_end([&] {
        const test::sentinel s(unwound);
        try {
          throw tracked(dropped);
        } catch (const tracked&) {
          weft::yield();
          weft::exit_fiber();
        }
      });
    }
    CHECK(unwound == 20);
    CHECK(dropped == 20);
    // The next fibers on those stacks and threads see nothing of it.
    CHECK(weft::spawn([] {
            return std::current_exception() == nullptr && std::uncaught_exceptions() == 0;
          }).join());
    CHECK(std::uncaught_exceptions() == 0);
  });
}

TEST_CASE("exit_fiber: destructors that it runs may block, throw and catch, and exit twice",
          "[sched][unit][SC-13][SC-19]") {
  struct worker {
    weft::chan<int> ch;
    std::atomic<int>* right;
    ~worker() {
      try {
        const int got = ch.recv().value();
        throw got;
      } catch (int n) {
        if (n == 5) ++*right;
      }
    }
  };
  test::run_with_procs([] {
    weft::chan<int> ch = weft::make_chan<int>();
    std::atomic<int> right{0};
    for (int i = 0; i < 10; ++i) {
      weft::go([&, ch] {
        const worker w{ch, &right};
        weft::exit_fiber();
      });
    }
    for (int i = 0; i < 10; ++i) ch.send(5);
    test::until([&] { return right == 10 && weft::num_fibers() == 1; }, "all have ended");
  });
}

TEST_CASE("exit_fiber: from a plain thread is an error of use", "[sched][unit][SC-13]") {
  CHECK_THROWS_AS(weft::exit_fiber(), std::logic_error);
}

TEST_CASE("exit_fiber: a fiber whose system-stack call threw is unwound as any other",
          "[sched][unit][SC-13]") {
  test::run_with_procs([] {
    test::notes<std::string> log;
    run_to_its_end([&] {
      const logger a{&log, "fiber"};
      try {
        weft::on_system_stack([&] {
          const logger b{&log, "system stack"};
          throw std::runtime_error("out");
        });
      } catch (const std::runtime_error&) {
        log.add("caught");
        weft::exit_fiber();
      }
    });
    CHECK(log.all() == strings{"system stack", "caught", "fiber"});
  });
}

TEST_CASE("exit_fiber: what a fiber held is free afterwards", "[sched][unit][SC-13]") {
  test::run_with_procs([] {
    weft::mutex mutex;
    weft::semaphore permits(1);
    run_to_its_end([&] {
      const std::unique_lock<weft::mutex> lock(mutex);
      struct permit {
        weft::semaphore* s;
        explicit permit(weft::semaphore& of) : s(&of) { s->acquire(); }
        ~permit() { s->release(); }
      };
      const permit p(permits);
      weft::exit_fiber();
    });
    CHECK(mutex.try_lock());
    mutex.unlock();
    CHECK(permits.try_acquire());
  });
}
