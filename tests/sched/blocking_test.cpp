// blocking(f): system calls that block the thread and nobody else.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

// A gate of the kernel: whoever passes blocks its OS thread in read() until the gate opens.
class kernel_gate {
 public:
  kernel_gate() {
    if (::pipe(ends_.data()) != 0) throw std::system_error(errno, std::generic_category());
  }
  kernel_gate(const kernel_gate&) = delete;
  kernel_gate& operator=(const kernel_gate&) = delete;
  ~kernel_gate() {
    open();
    ::close(ends_[0]);
  }

  long pass() {
    char c;
    return ::read(ends_[0], &c, 1);  // end of file when the gate opens
  }
  void open() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

}  // namespace

TEST_CASE("blocking: gives back the result, or the exception", "[sched][unit][SC-12]") {
  test::run_with_procs([] {
    CHECK(weft::blocking([] { return 5; }) == 5);
    CHECK(*weft::blocking([] { return std::make_unique<int>(6); }) == 6);
    CHECK(weft::blocking([] { return std::string("text"); }) == "text");
    int ran = 0;
    weft::blocking([&] { ran = 1; });
    CHECK(ran == 1);
    CHECK_THROWS_AS(weft::blocking([]() -> int { throw std::underflow_error("inside"); }),
                    std::underflow_error);
    // The fiber is as good as before.
    weft::spawn([] { weft::yield(); }).join();
    CHECK(weft::blocking([] { return 7; }) == 7);
  });
}

TEST_CASE("blocking: errno of the call is there after it", "[sched][unit][SC-12][SC-29]") {
  test::run_with_procs([] {
    for (int i = 0; i < 50; ++i) {
      test::set_errno(0);
      const long n = weft::blocking([] { return ::read(-1, nullptr, 0); });
      REQUIRE(n == -1);
      REQUIRE(test::errno_now() == EBADF);
    }
  });
}

TEST_CASE("blocking: others run while the thread blocks, with one processor too",
          "[sched][os][SC-12]") {
  test::run_with_procs([] {
    kernel_gate gate;
    std::atomic<bool> inside{false};
    weft::join_handle<long> caller = weft::spawn([&] {
      return weft::blocking([&] {
        inside = true;
        return gate.pass();
      });
    });
    test::until([&] { return inside.load(); }, "the call has begun");
    // All of this happens while the only processor's last fiber sits in the kernel.
    CHECK(weft::spawn([] { return 3; }).join() == 3);
    weft::sleep_for(1ms);
    std::thread foreign([&] { gate.open(); });
    CHECK(caller.join() == 0);
    foreign.join();
  });
}

TEST_CASE("blocking: a thousand at once, and the others run on", "[sched][os][SC-12]") {
  const int calls = test::sanitized ? 200 : 1000;
  if (test::sanitized) WARN("200 calls instead of 1000 under sanitizers");
  for (const unsigned procs : {1U, 2U}) {
    weft::run(
        [calls] {
          kernel_gate gate;
          std::atomic<int> inside{0};
          std::atomic<int> most{0};
          test::tally ended;
          for (int i = 0; i < calls; ++i) {
            weft::go([&] {
              weft::blocking([&] {
                const int n = ++inside;
                int seen = most;
                while (n > seen && !most.compare_exchange_weak(seen, n)) {
                }
                gate.pass();
                --inside;
              });
              ended.add();
            });
          }
          const int limit = std::min(calls, 512);  // options.max_blocking
          test::until([&] { return inside == limit; }, "as many as may have begun");
          weft::chan<int> ch = weft::make_chan<int>();
          weft::go([ch] {
            for (int i = 0; i < 1000; ++i) ch.send(i);
          });
          for (int i = 0; i < 1000; ++i) REQUIRE(ch.recv() == std::optional<int>(i));
          CHECK(inside == limit);
          gate.open();
          test::until([&] { return ended.count() == calls; }, "all have ended");
          CHECK(most <= limit);
        },
        weft::options{.procs = procs});
  }
}

TEST_CASE("blocking: calls over max_blocking queue, and come in their turn", "[sched][os][SC-12]") {
  for (const unsigned procs : {1U, 4U}) {
    weft::options o;
    o.procs = procs;
    o.max_blocking = 2;
    weft::run(
        [] {
          kernel_gate gate;
          std::atomic<int> inside{0};
          std::atomic<int> most{0};
          std::vector<weft::join_handle<int>> callers;
          for (int i = 0; i < 10; ++i) {
            callers.push_back(weft::spawn([&, i] {
              return weft::blocking([&] {
                const int n = ++inside;
                int seen = most;
                while (n > seen && !most.compare_exchange_weak(seen, n)) {
                }
                gate.pass();
                --inside;
                return i;
              });
            }));
          }
          test::until([&] { return inside == 2; }, "two have begun");
          for (int i = 0; i < 200; ++i) weft::yield();
          CHECK(inside == 2);
          gate.open();
          for (int i = 0; i < 10; ++i) CHECK(callers[static_cast<std::size_t>(i)].join() == i);
          CHECK(most == 2);
        },
        o);
  }
}

TEST_CASE("blocking: a call that throws frees its place", "[sched][unit][SC-12]") {
  weft::options o;
  o.procs = 2;
  o.max_blocking = 1;
  weft::run(
      [] {
        for (int i = 0; i < 50; ++i) REQUIRE_THROWS_AS(weft::blocking([] { throw 1; }), int);
        CHECK(weft::blocking([] { return 2; }) == 2);
      },
      o);
}

TEST_CASE("blocking: short calls from many fibers give each its own result",
          "[sched][unit][SC-12]") {
  test::run_with_procs([] {
    test::expectations e;
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 8; ++i) {
      fibers.push_back(weft::spawn([i, &e] {
        for (int k = 0; k < 500; ++k) {
          const int got = weft::blocking([=] { return i * 1000 + k; });
          e.that(got == i * 1000 + k, "the result is this call's");
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("blocking: a call inside a call, and on the system stack", "[sched][unit][SC-12]") {
  test::run_with_procs([] {
    CHECK(weft::blocking([] { return weft::blocking([] { return 4; }); }) == 4);
    CHECK(weft::blocking([] { return weft::on_system_stack([] { return 5; }); }) == 5);
  });
}

TEST_CASE("blocking: from a plain thread it just runs", "[sched][unit][SC-12][SC-37]") {
  const std::thread::id mine = test::thread_now();
  CHECK(weft::blocking([&] { return test::thread_now() == mine; }));
}

TEST_CASE("blocking: a pinned fiber blocks its own thread", "[sched][unit][SC-12][SC-23]") {
  test::run_with_procs([] {
    test::expectations e;
    weft::spawn([&] {
      const weft::thread_pin pin;
      const std::thread::id mine = test::thread_now();
      for (int i = 0; i < 50; ++i) {
        e.that(weft::blocking([&] { return test::thread_now() == mine; }), "inside");
        e.that(test::thread_now() == mine, "after");
      }
    }).join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("machines: more pins than max_machines end the process with the reason",
          "[sched][os][SC-12]") {
  const test::child_end end = test::in_child([] {
    weft::options o;
    o.procs = 1;
    o.max_machines = 8;
    weft::run(
        [] {
          for (int i = 0; i < 40; ++i) {
            weft::go([] {
              const weft::thread_pin pin;
              (void)weft::make_chan<int>().recv();
            });
          }
          for (;;) weft::yield();
        },
        o);
  });
  INFO(end.err);
  CHECK(end.status == 2);
  CHECK(end.err.rfind("fatal error: ", 0) == 0);
  CHECK(test::contains(end.err, "max_machines"));
}
