// The deadlock report: when it comes, what it says, and when it must not come.
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>

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

constexpr const char* asleep = "fatal error: all fibers are asleep - deadlock!";

// Keeps the calling OS thread in the kernel for longer than the second after which a report comes:
// the case in which no report may come lasts so long.
void outlast_the_report() { ::poll(nullptr, 0, 1500); }

void block_for_ever() { (void)weft::make_chan<int>().recv(); }

// A thread that is not weft's makes the report a warning, and ThreadSanitizer keeps one of its own.
bool reports_are_fatal() {
  if (!WEFT_TSAN) return true;
  WARN("skipped under ThreadSanitizer: its own thread counts as one that could wake fibers");
  return false;
}

template <class F>
test::child_end run_in_child(F main, weft::options options = {}) {
  return test::in_child([=] { weft::run(main, options); });
}

}  // namespace

TEST_CASE("deadlock: all blocked for ever ends the process with every fiber's state",
          "[runtime][unit][SC-20][SC-30]") {
  if (!reports_are_fatal()) return;
  for (const unsigned procs : {1U, 2U, 4U}) {
    INFO("procs: " << procs);
    const std::int64_t start = weft::detail::monotonic_ns();
    const test::child_end end = run_in_child(
        [] {
          weft::go(weft::fiber_options{"sender"}, [] { weft::make_chan<int>().send(1); });
          weft::go(weft::fiber_options{"selector"}, [] {
            weft::chan<int> a = weft::make_chan<int>();
            weft::select(weft::recv(a), weft::recv(weft::chan<int>()));
          });
          weft::wait_group group;
          group.add();
          group.wait();
        },
        weft::options{.procs = procs});
    const std::int64_t took = weft::detail::monotonic_ns() - start;
    INFO(end.err);
    CHECK(end.status == 2);
    CHECK(end.err.rfind(asleep, 0) == 0);
    CHECK(test::contains(end.err, "[sync.WaitGroup.Wait]"));
    CHECK(test::contains(end.err, "[chan send]"));
    CHECK(test::contains(end.err, "[select]"));
    CHECK(test::contains(end.err, "sender"));
    CHECK(test::contains(end.err, "selector"));
    CHECK(test::contains(end.err, "deadlock_test.cpp"));
    CHECK(test::count_of(end.err, "+0x") >= 6);  // stacks: some frames of three fibers
    CHECK(took < std::chrono::nanoseconds(10 * 1s + 100ms).count());  // soon
  }
}

TEST_CASE("deadlock: nil channels, empty selects and locks count as asleep",
          "[runtime][unit][SC-20]") {
  if (!reports_are_fatal()) return;
  const auto check = [](const test::child_end& end, const char* state) {
    INFO(end.err);
    CHECK(end.status == 2);
    CHECK(end.err.rfind(asleep, 0) == 0);
    CHECK(test::contains(end.err, state));
  };
  check(run_in_child([] { (void)weft::chan<int>().recv(); }), "[chan receive (nil chan)]");
  check(run_in_child([] { weft::chan<int>().send(1); }), "[chan send (nil chan)]");
  check(run_in_child([] { weft::select(); }), "[select (no cases)]");
  check(run_in_child([] {
          weft::mutex m;
          m.lock();
          m.lock();
        }),
        "[sync.Mutex.Lock]");
  check(run_in_child([] { weft::spawn([] { block_for_ever(); }).join(); }), "[chan receive]");
  check(run_in_child([] {
          weft::semaphore permits(1);
          permits.acquire();
          permits.acquire();
        }),
        "[semacquire]");
  check(run_in_child([] {
          const weft::thread_pin pin;  // a pinned main sleeps on its own thread
          block_for_ever();
        }),
        "[chan receive, locked to thread]");
}

TEST_CASE("deadlock: fibers left behind do not matter once main has returned",
          "[runtime][unit][SC-20]") {
  const test::child_end end = run_in_child([] {
    weft::go([] { block_for_ever(); });
    weft::yield();
  });
  CHECK(end.status == 0);
  CHECK(end.err.empty());
}

TEST_CASE("deadlock: exit policy wait with fibers that block for ever is one",
          "[runtime][unit][SC-20][SC-03]") {
  if (!reports_are_fatal()) return;
  weft::options o;
  o.on_exit = weft::exit_policy::wait;
  const test::child_end end = run_in_child([] { weft::go([] { block_for_ever(); }); }, o);
  CHECK(end.status == 2);
  CHECK(test::contains(end.err, asleep));
}

TEST_CASE("deadlock: by policy main gets an exception, and may go on", "[runtime][unit][SC-20]") {
  if (!reports_are_fatal()) return;
  for (const unsigned procs : {1U, 2U, 4U}) {
    weft::options o;
    o.procs = procs;
    o.on_deadlock = weft::deadlock_policy::throw_in_main;
    try {
      weft::run([] { block_for_ever(); }, o);
      FAIL("run returned");
    } catch (const weft::deadlock_error& e) {
      CHECK(test::contains(e.what(), "all fibers are asleep"));
    }
    int caught = 0;
    std::atomic<int> woken{0};
    weft::run(
        [&] {
          weft::chan<int> ch = weft::make_chan<int>();
          weft::go([&] {
            (void)ch.recv();
            ++woken;
          });
          for (int i = 0; i < 2; ++i) {  // main may wait in vain more than once
            try {
              if (i == 0) block_for_ever();
              weft::select();
            } catch (const weft::deadlock_error&) {
              ++caught;
            }
          }
          ch.send(1);  // the others are as they were
          test::until([&] { return woken == 1; }, "the other fiber has gone on");
        },
        o);
    CHECK(caught == 2);
  }
}

TEST_CASE("deadlock: a pending timer keeps the report away", "[runtime][os][SC-21]") {
  // 1.5 s is longer than the report may take.
  CHECK(run_in_child([] { weft::sleep_for(1500ms); }).status == 0);
  const test::child_end end = run_in_child([] {
    weft::chan<int> never = weft::make_chan<int>();
    const weft::timer t(1500ms);
    weft::select(weft::recv(never), weft::recv(t.c()));
  });
  CHECK(end.status == 0);
  CHECK(end.err.empty());
}

TEST_CASE("deadlock: the report comes after the last timer was stopped", "[runtime][unit][SC-21]") {
  if (!reports_are_fatal()) return;
  const test::child_end stopped = run_in_child([] {
    weft::timer t(1h);
    t.stop();
    block_for_ever();
  });
  CHECK(stopped.status == 2);
  CHECK(test::contains(stopped.err, asleep));
  const test::child_end dropped = run_in_child([] {
    {
      const weft::timer t(1h);
    }
    block_for_ever();
  });
  CHECK(dropped.status == 2);
  const test::child_end fired = run_in_child([] {
    weft::sleep_for(5ms);
    block_for_ever();
  });
  CHECK(fired.status == 2);
}

TEST_CASE("deadlock: a blocking call keeps the report away", "[runtime][os][SC-20]") {
  const test::child_end end = run_in_child([] {
    weft::chan<int> ch = weft::make_chan<int>();
    weft::go([ch] {
      weft::blocking([] { outlast_the_report(); });
      ch.send(1);
    });
    (void)ch.recv();
  });
  CHECK(end.status == 0);
  CHECK(end.err.empty());
}

TEST_CASE("deadlock: a fiber that computes keeps the report away, with or without a processor",
          "[runtime][os][SC-20]") {
  for (const unsigned procs : {1U, 2U}) {
    const test::child_end end = run_in_child(
        [] {
          weft::chan<int> ch = weft::make_chan<int>();
          weft::go([ch] {
            test::spin_for(1500ms);
            ch.send(1);
          });
          (void)ch.recv();
        },
        weft::options{.procs = procs});
    CHECK(end.status == 0);
    CHECK(end.err.empty());
  }
}

TEST_CASE("deadlock: a runtime that is an object may sleep as long as it likes",
          "[runtime][os][SC-20]") {
  const test::child_end end = test::in_child([] {
    weft::runtime rt;
    weft::chan<int> ch = weft::make_chan<int>();
    weft::join_handle<int> h = rt.spawn([ch] { return ch.recv().value(); });
    outlast_the_report();
    ch.send(4);
    if (h.join() != 4) throw std::runtime_error("lost");
  });
  INFO(end.err);
  CHECK(end.status == 0);
  CHECK(end.err.empty());
}

TEST_CASE("deadlock: main that waits for another runtime is not one", "[runtime][os][SC-20]") {
  const test::child_end end = test::in_child([] {
    weft::runtime other;
    weft::chan<int> ch = weft::make_chan<int>();
    other.go([ch] {
      weft::sleep_for(1500ms);
      ch.send(1);
    });
    weft::run([ch] { (void)ch.recv(); });
  });
  INFO(end.err);
  CHECK(end.status == 0);
  CHECK(end.err.empty());
}

TEST_CASE("deadlock: with a plain thread in the process one warning comes, and it waits on",
          "[runtime][os][long][SC-20]") {
  const test::child_end end = test::in_child(
      [] {
        // stderr goes to a pipe; the plain thread wakes main when the warning has come.
        int fds[2];
        if (::pipe(fds) != 0) throw std::runtime_error("pipe");
        const int real_stderr = ::dup(STDERR_FILENO);
        ::dup2(fds[1], STDERR_FILENO);
        weft::chan<int> ch = weft::make_chan<int>();
        std::string warning;
        const std::int64_t start = weft::detail::monotonic_ns();
        std::thread watcher([&] {
          pollfd p{fds[0], POLLIN, 0};
          while (!test::contains(warning, "asleep") && ::poll(&p, 1, 50'000) == 1) {
            char block[4096];
            const ssize_t n = ::read(fds[0], block, sizeof block);
            if (n <= 0) break;
            warning.append(block, static_cast<std::size_t>(n));
          }
          ch.send(1);
        });
        weft::run([ch] { (void)ch.recv(); });
        const std::int64_t took = weft::detail::monotonic_ns() - start;
        watcher.join();
        ::dup2(real_stderr, STDERR_FILENO);
        if (!test::contains(warning, "asleep")) throw std::runtime_error("no warning");
        if (took < 10'000'000'000) throw std::runtime_error("too early");
      },
      90s);
  INFO(end.err);
  CHECK(end.status == 0);
}

TEST_CASE("deadlock: exit_fiber in main leaves the others running", "[runtime][unit][SC-15]") {
  const test::child_end end = run_in_child([] {
    weft::go([] {
      for (int i = 0; i < 100; ++i) weft::yield();
      weft::sleep_for(2ms);
      std::_Exit(7);
    });
    weft::exit_fiber();
  });
  CHECK(end.status == 7);
}

TEST_CASE("deadlock: exit_fiber in main, and no fiber is left that could run",
          "[runtime][unit][SC-15]") {
  if (!reports_are_fatal()) return;
  constexpr const char* text = "fatal error: no fibers (main called exit_fiber) - deadlock!";
  for (const unsigned procs : {1U, 2U, 4U}) {
    const test::child_end alone =
        run_in_child([] { weft::exit_fiber(); }, weft::options{.procs = procs});
    INFO(alone.err);
    CHECK(alone.status == 2);
    CHECK(alone.err.rfind(text, 0) == 0);
    const test::child_end later = run_in_child(
        [] {
          weft::go([] {
            for (int i = 0; i < 20; ++i) weft::yield();
          });
          weft::exit_fiber();
        },
        weft::options{.procs = procs});
    CHECK(later.status == 2);
    CHECK(test::contains(later.err, text));
  }
}

TEST_CASE("deadlock: main's destructors run when it leaves by exit_fiber",
          "[runtime][unit][SC-15][SC-13]") {
  struct talker {
    std::atomic<bool>& has_left;
    ~talker() {
      std::fprintf(stderr, "main unwound\n");
      has_left = true;
    }
  };
  const test::child_end end = run_in_child([] {
    static std::atomic<bool> has_left{false};
    const talker t{has_left};
    weft::go([] {
      while (!has_left) weft::yield();
      std::_Exit(7);
    });
    weft::exit_fiber();
  });
  CHECK(end.status == 7);
  CHECK(test::contains(end.err, "main unwound"));
}
