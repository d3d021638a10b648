// Where the system refuses stacks: those that there are go to whoever waits for one, wherever they
// lie.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/run.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/stack.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sync.hpp"

namespace {

// So large that a slab holds four. A processor that needs one asks for sixteen: so many there are
// when main runs, and all but its own are cached by its processor.
constexpr std::size_t stack_size = weft::detail::stack_pool::slab_size / 4;
constexpr int others = 15;

using namespace std::chrono_literals;

std::atomic<int> refused{0};

// Memory for fibers' records is not refused.
int refuse_guards(const char* call) noexcept {
  for (const char* refuses : {"madvise", "process_madvise", "mprotect"}) {
    if (std::strcmp(call, refuses) != 0) continue;
    refused.fetch_add(1);
    return ENOMEM;
  }
  return 0;
}

// While it lives the system has no stacks to give.
struct no_more_stacks {
  no_more_stacks() {
    refused = 0;
    weft::detail::set_fault_hook_for_testing(refuse_guards);
  }
  ~no_more_stacks() { weft::detail::set_fault_hook_for_testing(nullptr); }
  no_more_stacks(const no_more_stacks&) = delete;
  no_more_stacks& operator=(const no_more_stacks&) = delete;
};

weft::options options_for(unsigned procs) {
  weft::options o;
  o.procs = procs;
  o.stack_size = stack_size;
  return o;
}

// All of them have a stack at the same time.
void run_at_once(int fibers) {
  const weft::chan<int> arrived = weft::make_chan<int>(others);
  const weft::chan<int> gate = weft::make_chan<int>();
  weft::wait_group ends;
  for (int i = 0; i < fibers; ++i) {
    ends.go([&] {
      arrived.send(1);
      (void)gate.recv();
    });
  }
  // Others take some of them, to processors that have no stacks cached.
  test::spin_for(200us);
  for (int i = 0; i < fibers; ++i) (void)arrived.recv();
  gate.close();
  ends.wait();
}

std::size_t count_records() {
  std::size_t n = 0;
  weft::detail::scheduler::of_caller().for_each_record([&n](const weft::detail::fiber&) { ++n; });
  return n;
}

}  // namespace

TEST_CASE("stacks: a processor that goes idle leaves those it has cached to who waits",
          "[sched][os]") {
  weft::run(
      [] {
        const no_more_stacks none;
        const weft::chan<int> ran = weft::make_chan<int>(1);
        std::atomic<bool> runs{false};
        weft::go([ran, &runs] {
          runs = true;
          ran.send(1);
        });
        // Another machine takes the fiber, and is refused a stack again and again. Only then do we
        // go idle: for the channel, as somebody who yields alone keeps the processor. Or it is
        // taken from us, with all that it has cached.
        while (refused < 30 && !runs) {
        }
        (void)ran.recv();
      },
      options_for(2));
}

TEST_CASE("stacks: none is lost in a cache while the system refuses more", "[sched][unit]") {
  for (const unsigned procs : {1U, 2U, 4U}) {
    INFO("procs: " << procs);
    weft::run(
        [] {
          const no_more_stacks none;
          for (int round = 0; round < 30; ++round) run_at_once(others);
        },
        options_for(procs));
  }
}

TEST_CASE("stacks: processors out of service give back what they had cached", "[sched][unit]") {
  weft::run(
      [] {
        const no_more_stacks none;
        for (int round = 0; round < 20; ++round) {
          weft::set_procs(4);
          run_at_once(others);
          weft::set_procs(1);
          run_at_once(others);
        }
      },
      options_for(4));
  weft::run(
      [] {
        for (int round = 0; round < 20; ++round) {
          weft::wait_group ends;
          for (int i = 0; i < 50; ++i) ends.go([] { weft::yield(); });
          test::spin_for(200us);
          ends.wait();
        }
        test::until([] { return weft::num_fibers() == 1; }, "only main is left");
        weft::set_procs(1);
        const std::size_t records = count_records();
        const weft::chan<int> gate = weft::make_chan<int>();
        for (std::size_t i = 1; i < records; ++i) weft::go([gate] { (void)gate.recv(); });
        CHECK(count_records() == records);
        gate.close();
        test::until([] { return weft::num_fibers() == 1; }, "only main is left");
      },
      weft::options{.procs = 4});
}

TEST_CASE("stacks: one that is left serves a fiber that asked for another size of its class",
          "[sched][unit]") {
  // One stack of this class is a slab.
  constexpr std::size_t mib = std::size_t{1} << 20U;
  for (const unsigned procs : {1U, 2U}) {
    weft::run(
        [] {
          const weft::chan<int> gate = weft::make_chan<int>();
          const weft::chan<int> steps = weft::make_chan<int>(1);
          weft::join_handle<void> first = weft::spawn(weft::fiber_options{"first", 40 * mib}, [&] {
            steps.send(1);
            (void)gate.recv();
          });
          (void)steps.recv();
          const no_more_stacks none;
          weft::join_handle<void> second =
              weft::spawn(weft::fiber_options{"second", 50 * mib}, [] {});
          test::until([] { return refused != 0; }, "the second is refused a stack");
          gate.close();
          second.join();
          first.join();
        },
        weft::options{.procs = procs});
  }
}

TEST_CASE("stacks: in a seeded run fibers wait for a stack, and are reported when none is left",
          "[sched][unit]") {
  weft::options o;
  o.seed = 5;
  o.stack_size = stack_size;
  weft::run(
      [] {
        const no_more_stacks none;
        const weft::chan<int> arrived = weft::make_chan<int>(3 * others);
        for (int i = 0; i < 3 * others; ++i) {
          weft::go([arrived] {
            weft::yield();
            arrived.send(1);
          });
        }
        for (int i = 0; i < 3 * others; ++i) (void)arrived.recv();
      },
      o);
  const test::child_end end = test::in_child([o] {
    weft::run(
        [] {
          const no_more_stacks none;
          run_at_once(others + 1);
        },
        o);
  });
  CHECK(end.status == 2);
  CHECK(end.err.rfind("fatal error: out of fiber stacks: the system refuses memory; waiting for a "
                      "stack: 1, and no fiber that has one can leave it\n",
                      0) == 0);
}
