// The text of each report, against the files in golden/.
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "reports/golden.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/debug.hpp"
#include "weft/io.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

// Some reports need that the process has no thread but weft's.
bool reports_are_fatal() {
  if (!WEFT_TSAN) return true;
  WARN("skipped under ThreadSanitizer: its own thread counts as one that could wake fibers");
  return false;
}

// Where locks are checked, they tell before the deadlock what leads to it.
bool locks_tell_nothing() {
  if (!WEFT_CHECK_LOCKS) return true;
  WARN("skipped where locks are checked: tests/lock_check has their reports");
  return false;
}

void block_for_ever() { (void)weft::make_chan<int>().recv(); }

template <class F>
test::child_end run_in_child(F main, weft::options options = {}) {
  return test::in_child([=] { weft::run(main, options); });
}

void expect_fatal(const test::child_end& end, const std::string& golden) {
  INFO(end.err);
  CHECK(end.status == 2);
  test::check_golden(golden, end.err);
}

// One processor, and each fiber in its turn: so that the order of a dump is known.
const weft::options one{.procs = 1};

void let_others_park(std::size_t n) { test::until_blocked(n); }

}  // namespace

TEST_CASE("reports: a deadlock shows every fiber, those alike in one paragraph",
          "[reports][unit][SC-20][SC-30]") {
  if (!reports_are_fatal()) return;
  expect_fatal(run_in_child(
                   [] {
                     for (int i = 0; i < 20; ++i) weft::go([] { block_for_ever(); });
                     weft::go(weft::fiber_options{"the sender"},
                              [] { weft::make_chan<int>().send(1); });
                     block_for_ever();
                   },
                   one),
               "deadlock");
}

TEST_CASE("reports: a deadlock names fibers that wait for one another's locks",
          "[reports][unit][SC-20]") {
  if (!reports_are_fatal() || !locks_tell_nothing()) return;
  const test::child_end end = run_in_child(
      [] {
        weft::mutex a;
        weft::rw_mutex b;
        weft::wait_group locked;
        locked.add(2);
        weft::go(weft::fiber_options{"takes a, then b"}, [&] {
          a.lock();
          locked.done();
          locked.wait();
          b.lock_shared();
        });
        weft::go(weft::fiber_options{"takes b, then a"}, [&] {
          b.lock();
          locked.done();
          locked.wait();
          a.lock();
        });
        block_for_ever();
      },
      one);
  expect_fatal(end, "cycle");
}

TEST_CASE("reports: a lock that its own fiber has, one of a fiber that ended, one of a thread",
          "[reports][unit][SC-20]") {
  if (!reports_are_fatal() || !locks_tell_nothing()) return;
  expect_fatal(run_in_child(
                   [] {
                     weft::mutex m;
                     m.lock();
                     m.lock();
                   },
                   one),
               "own_lock");
  expect_fatal(run_in_child(
                   [] {
                     weft::mutex m;
                     weft::spawn([&] { m.lock(); }).join();
                     m.lock();
                   },
                   one),
               "lock_of_ended");
  expect_fatal(test::in_child([] {
                 weft::mutex m;
                 m.lock();
                 weft::run([&] { m.lock(); }, one);
               }),
               "lock_of_thread");
}

TEST_CASE("reports: a join and a mutex make a ring, and so does a once that calls itself",
          "[reports][unit][SC-20]") {
  if (!reports_are_fatal()) return;
  expect_fatal(run_in_child(
                   [] {
                     weft::mutex m;
                     m.lock();
                     weft::spawn([&] { m.lock(); }).join();
                   },
                   one),
               "join_cycle");
  expect_fatal(run_in_child(
                   [] {
                     weft::once o;
                     o.call([&] { o.call([] {}); });
                   },
                   one),
               "once_cycle");
}

TEST_CASE("reports: main left by exit_fiber, and nobody can run", "[reports][unit][SC-15]") {
  if (!reports_are_fatal()) return;
  expect_fatal(run_in_child(
                   [] {
                     weft::go([] { block_for_ever(); });
                     weft::exit_fiber();
                   },
                   one),
               "main_left");
}

TEST_CASE("reports: an uncaught exception, with nested ones and a name",
          "[reports][unit][SC-17][SC-18]") {
  const test::child_end end = run_in_child(
      [] {
        weft::go(weft::fiber_options{"careless"}, [] {
          try {
            throw std::runtime_error("no such file");
          } catch (...) {
            std::throw_with_nested(std::logic_error("can't start"));
          }
        });
        block_for_ever();
      },
      one);
  expect_fatal(end, "uncaught");
}

TEST_CASE("reports: exit_fiber names the frame that let it not pass", "[reports][unit][SC-13]") {
  struct refusing {
    WEFT_NOINLINE static void leave() noexcept { weft::exit_fiber(); }
  };
  const test::child_end end = run_in_child(
      [] {
        weft::go([] { refusing::leave(); });
        block_for_ever();
      },
      one);
  INFO(end.err);
  CHECK(end.status == 2);
  CHECK(test::contains(end.err.substr(0, end.err.find("\n\n")), "leave"));
  CHECK(test::contains(end.err, "fatal error: exit_fiber met a frame that lets no exception pass"));
}

namespace {

WEFT_NOINLINE int recurse(int n) {
  volatile char room[128] = {};
  room[0] = static_cast<char>(n);
  return n < 0 ? 0 : recurse(n + 1) + room[0];
}

}  // namespace

TEST_CASE("reports: a stack overflow tells size and advice, and both ends of the stack",
          "[reports][unit][SC-27]") {
  if (WEFT_ASAN || WEFT_TSAN) return;  // they have reports of their own
  const test::child_end end = run_in_child(
      [] {
        weft::go(weft::fiber_options{.name = "deep", .stack_size = 64 * 1024},
                 [] { (void)recurse(0); });
        block_for_ever();
      },
      one);
  expect_fatal(end, "overflow");
  CHECK(test::contains(end.err, "recurse"));
}

TEST_CASE("reports: a forked child that goes on with the runtime", "[reports][unit][fork]") {
  const auto in_grandchild = [](auto f) {
    return run_in_child(
        [f] {
          const pid_t child = ::fork();
          if (child == 0) {
            f();
            ::_exit(7);
          }
          int status = 0;
          weft::blocking([&] { ::waitpid(child, &status, 0); });
          ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
        },
        one);
  };
  expect_fatal(in_grandchild([] { weft::yield(); }), "fork");
  CHECK(in_grandchild([] { weft::go([] {}); }).status == 2);
  CHECK(in_grandchild([] { block_for_ever(); }).status == 2);
  CHECK(in_grandchild([] { weft::spawn([] {}).join(); }).status == 2);
  // What needs no runtime goes on, exec above all.
  CHECK(in_grandchild([] { ::execl("/bin/sh", "sh", "-c", "exit 5", nullptr); }).status == 5);
  CHECK(in_grandchild([] {}).status == 7);
}

TEST_CASE("reports: a plain thread's forked child that goes on with the runtime",
          "[reports][unit][fork]") {
  const auto in_grandchild = [](auto f) {
    return test::in_child([f] {
      weft::runtime rt;
      const pid_t child = ::fork();
      if (child == 0) {
        f(rt);
        ::_exit(7);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    });
  };
  expect_fatal(in_grandchild([](weft::runtime&) { weft::run([] {}); }), "fork_thread");
  CHECK(in_grandchild([](weft::runtime& rt) { rt.go([] {}); }).status == 2);
  // Destructors do nothing, so that a child can leave in an orderly way.
  CHECK(in_grandchild([](weft::runtime& rt) { rt.~runtime(); }).status == 7);
}

TEST_CASE("reports: a child forked when no runtime runs may use weft", "[reports][unit][fork]") {
  weft::run([] {});
  CHECK(run_in_child([] { weft::spawn([] {}).join(); }).status == 0);
}

TEST_CASE("reports: pthread_exit in a fiber", "[reports][unit]") {
  if (WEFT_TSAN) return;  // its interceptor expects the thread's own stack
  expect_fatal(run_in_child(
                   [] {
                     weft::go([] { ::pthread_exit(nullptr); });
                     block_for_ever();
                   },
                   one),
               "pthread_exit");
}

TEST_CASE("reports: pthread_cancel of a fiber's thread", "[reports][unit]") {
  if (WEFT_TSAN) return;  // its interceptors do not unwind
  const test::child_end end = run_in_child(
      [] {
        weft::go([] {
          ::pthread_cancel(::pthread_self());
          ::pthread_testcancel();
        });
        block_for_ever();
      },
      one);
  CHECK(end.status == 2);
  CHECK(test::contains(end.err, "pthread_cancel"));
}

TEST_CASE("reports: the runtime entered from a signal handler", "[reports][unit]") {
  if (WEFT_TSAN) return;  // it calls handlers later, from elsewhere
  const auto in_handler = [](void (*handler)(int)) {
    return run_in_child(
        [handler] {
          struct sigaction action{};
          action.sa_handler = handler;
          action.sa_flags = SA_ONSTACK;
          ::sigaction(SIGUSR1, &action, nullptr);
          ::raise(SIGUSR1);
        },
        one);
  };
  expect_fatal(in_handler([](int) { weft::yield(); }), "handler");
  CHECK(in_handler([](int) { weft::go([] {}); }).status == 2);
  CHECK(in_handler([](int) { block_for_ever(); }).status == 2);
}

#if defined(WEFT_SECOND_COPY)
TEST_CASE("reports: a second copy of the library", "[reports][unit]") {
  const test::child_end end =
      test::in_child([] { (void)::dlopen(WEFT_SECOND_COPY, RTLD_NOW | RTLD_LOCAL); });
  if (WEFT_TSAN) {
    // ThreadSanitizer does not like a process that ends inside dlopen, adds so and its own status.
    CHECK(test::contains(end.err, "fatal error: two copies of weft in one process"));
  } else {
    expect_fatal(end, "second_copy");
  }
}
#endif

TEST_CASE("reports: a dump to a stream shows stacks with functions of the source",
          "[reports][unit][SC-30]") {
  const std::string text = weft::run(
      [] {
        weft::chan<int> gate = weft::make_chan<int>();
        for (int i = 0; i < 3; ++i) weft::go([gate] { (void)gate.recv(); });
        weft::go(weft::fiber_options{"sleeper"}, [] { weft::sleep_for(1h); });
        let_others_park(4);
        weft::go(weft::fiber_options{"not begun"}, [] {});
        std::ostringstream out;
        weft::debug::dump(out);
        gate.close();
        return out.str();
      },
      weft::options{.procs = 1, .seed = 4});
  test::check_golden("dump", text);
  CHECK(test::contains(text, "weft::"));
  CHECK_FALSE(test::contains(text, "_ZN4weft"));
}

TEST_CASE("reports: a signal dumps all fibers and the program goes on", "[reports][os][SC-30]") {
  if (WEFT_TSAN) return;  // the fiber that the signal hits is shown without its stack
  const test::child_end end = run_in_child(
      [] {
        weft::debug::dump_on_signal();
        weft::chan<int> gate = weft::make_chan<int>();
        for (int i = 0; i < 3; ++i) weft::go([gate] { (void)gate.recv(); });
        let_others_park(3);
        ::raise(SIGQUIT);
        gate.close();
      },
      one);
  INFO("ended by signal " << end.signal);
  CHECK(end.status == 0);
  test::check_golden("signal", end.err);
  CHECK_THROWS_AS(weft::debug::dump_on_signal(SIGKILL), std::invalid_argument);
  CHECK_THROWS_AS(weft::debug::dump_on_signal(0), std::invalid_argument);
}

TEST_CASE("reports: WEFT_STALLS tells once where a fiber ran on", "[reports][os][SC-11]") {
  if (WEFT_TSAN) return;  // it calls handlers later, from elsewhere
  const test::child_end end = test::in_child([] {
    ::setenv("WEFT_STALLS", "30", 1);
    weft::run(
        [] {
          for (int i = 0; i < 3; ++i) {
            test::spin_for(200ms);
            weft::yield();
          }
        },
        one);
  });
  INFO(end.err);
  CHECK(end.status == 0);
  test::check_golden("stall", end.err);
}

TEST_CASE("reports: WEFT_STALLS is silent about fibers that enter, block or sleep",
          "[reports][os][SC-11]") {
  const test::child_end end = test::in_child([] {
    ::setenv("WEFT_STALLS", "100", 1);
    weft::run(
        [] {
          weft::blocking([] { ::poll(nullptr, 0, 300); });
          weft::sleep_for(300ms);
          const auto until = weft::clock::now() + 300ms;
          while (weft::clock::now() < until) weft::yield();
        },
        one);
  });
  CHECK(end.status == 0);
  CHECK(end.err.empty());
}
