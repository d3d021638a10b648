// Dumps against fibers that run on, end and begin meanwhile: nobody walks a stack that moves.
#include <algorithm>
#include <atomic>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/lone_fiber.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/arch/fence.hpp"
#include "weft/arch/switch.hpp"
#include "weft/chan.hpp"
#include "weft/debug.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace {

// Frames that come and go: a walk over a stack that changes meanwhile would miss some, or end
// somewhere else.
WEFT_NOINLINE void receive_deep(const weft::chan<int>& ch, int depth) {
  if (depth == 0) {
    (void)ch.recv();
  } else {
    receive_deep(ch, depth - 1);
  }
  asm volatile("" ::: "memory");  // no tail call
}

bool is_whole(const std::vector<weft::debug::frame>& stack) {
  const auto depth = std::count_if(stack.begin(), stack.end(), [](const weft::debug::frame& f) {
    return test::contains(f.function, "receive_deep");
  });
  return depth == 0 || (depth == 9 && test::contains(stack.back().function, "fiber_entry"));
}

void dump_against_load() {
  test::run_with_procs([] {
    test::expectations e;
    std::atomic<bool> stop{false};
    std::vector<weft::join_handle<void>> load;
    weft::mutex contended;
    for (int i = 0; i < 3; ++i) {
      const weft::chan<int> ch = weft::make_chan<int>();
      load.push_back(weft::spawn([&, ch] {
        while (!stop) ch.send(1);
        ch.close();
      }));
      load.push_back(weft::spawn([&, ch] {
        while (!stop) receive_deep(ch, 8);
        while (ch.recv()) {
        }
      }));
      load.push_back(weft::spawn([&] {
        while (!stop) weft::spawn([] { weft::yield(); }).join();
      }));
      load.push_back(weft::spawn([&] {
        while (!stop) {
          contended.lock();
          weft::yield();
          contended.unlock();
        }
      }));
    }
    std::vector<std::thread> watchers;
    for (int i = 0; i < 2; ++i) {
      watchers.emplace_back([&] {
        for (int round = 0; round < 100; ++round) {
          for (const weft::debug::fiber_info& f : weft::debug::fibers())
            e.that(is_whole(f.stack), "a stack is seen whole");
          const std::string text = test::dump_text();
          e.that(!test::contains(text, "wait-for cycle"), "nobody waits in a ring");
        }
        stop = true;
      });
    }
    for (weft::join_handle<void>& f : load) f.join();
    for (std::thread& t : watchers) t.join();
    CHECK(e.failures() == "");
  });
}

}  // namespace

TEST_CASE("hold: stacks are whole while fibers run, park and end", "[reports][stress][SC-30]") {
  dump_against_load();
}

TEST_CASE("hold: the same without membarrier", "[reports][stress][SC-30]") {
  struct without_membarrier {
    without_membarrier() { weft::detail::set_fences_for_testing(false); }
    ~without_membarrier() { weft::detail::prepare_fences(); }
  };
  const without_membarrier mode;
  dump_against_load();
}

TEST_CASE("hold: runtimes come and go while others dump", "[reports][stress][SC-30][SC-36]") {
  std::atomic<bool> stop{false};
  std::thread watcher([&] {
    while (!stop) {
      (void)weft::debug::fibers();
      (void)test::dump_text();
    }
  });
  for (int i = 0; i < 100; ++i) {
    weft::run([] {
      const weft::chan<int> ch = weft::make_chan<int>();
      for (int k = 0; k < 10; ++k) weft::go([ch] { (void)ch.recv(); });
      weft::yield();
    });
  }
  stop = true;
  watcher.join();
}

TEST_CASE("hold: one that is held is not entered before all have let go", "[reports][unit]") {
  std::atomic<int> steps{0};
  test::lone_fiber f([&](test::lone_fiber& self) {
    ++steps;
    self.pause();
    ++steps;
  });
  f.resume();
  REQUIRE(steps == 1);
  std::thread resumer;
  {
    const weft::detail::hold first(f.side());
    const weft::detail::hold second(f.side());
    REQUIRE(first.context() != nullptr);
    REQUIRE(second.context() == first.context());
    resumer = std::thread([&] { f.resume(); });
    // The one that enters takes the context first, and waits then.
    CHECK(test::eventually([&] { return f.context() == nullptr; }));
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    CHECK(steps == 1);
    const weft::detail::hold late(f.side());
    CHECK(late.context() == nullptr);
  }
  resumer.join();
  CHECK(steps == 2);
}
