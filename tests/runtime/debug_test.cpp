// What dumps show of fibers: states, names, times and sites, at any time and from anywhere.
#include "weft/debug.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <source_location>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

// The state that the fiber `f` comes to rest in. Under a seed time is virtual: a sleep of the main
// fiber ends when all others are blocked.
template <class F>
std::string rest_state(F f) {
  weft::options o;
  o.seed = 1;
  o.on_exit = weft::exit_policy::abandon;
  return weft::run(
      [&] {
        weft::chan<weft::fiber_id> id = weft::make_chan<weft::fiber_id>(1);
        weft::go([&, id] {
          id.send(weft::this_fiber::id());
          f();
        });
        const weft::fiber_id fiber = id.recv().value();
        weft::sleep_for(1s);
        return test::state_of(fiber);
      },
      o);
}

}  // namespace

TEST_CASE("debug: blocked fibers show what they are blocked in", "[runtime][unit][SC-22]") {
  weft::chan<int> ch = weft::make_chan<int>();
  CHECK(rest_state([=] { (void)ch.recv(); }) == "chan receive");
  CHECK(rest_state([=] { ch.send(1); }) == "chan send");
  CHECK(rest_state([] { (void)weft::chan<int>().recv(); }) == "chan receive (nil chan)");
  CHECK(rest_state([] { weft::chan<int>().send(1); }) == "chan send (nil chan)");
  CHECK(rest_state([=] { weft::select(weft::recv(ch), weft::send(ch, 1)); }) == "select");
  CHECK(rest_state([] { weft::select(); }) == "select (no cases)");
  CHECK(rest_state([] { weft::sleep_for(1h); }) == "sleep");
  weft::mutex m;
  m.lock();
  CHECK(rest_state([&] { m.lock(); }) == "sync.Mutex.Lock");
  m.unlock();
  weft::wait_group g;
  g.add();
  CHECK(rest_state([&] { g.wait(); }) == "sync.WaitGroup.Wait");
  g.done();
  weft::semaphore s(1);
  s.acquire();
  CHECK(rest_state([&] { s.acquire(); }) == "semacquire");
  // Calls that Go does not have carry a name of their own.
  CHECK(test::contains(rest_state([=] { weft::spawn([=] { (void)ch.recv(); }).join(); }), "join"));
}

TEST_CASE("debug: a fiber blocked for minutes shows how many", "[runtime][unit][SC-22]") {
  const auto after = [](std::chrono::seconds d) {
    weft::options o;
    o.seed = 7;
    return weft::run(
        [&] {
          weft::chan<int> ch = weft::make_chan<int>();
          weft::join_handle<weft::fiber_id> h = weft::spawn(weft::fiber_options{"waiter"}, [ch] {
            (void)ch.recv();
            return weft::this_fiber::id();
          });
          weft::sleep_for(d);
          std::string state;
          for (const weft::debug::fiber_info& f : weft::debug::fibers())
            if (f.name == "waiter") state = f.state;
          ch.close();
          h.join();
          return state;
        },
        o);
  };
  CHECK(after(59s) == "chan receive");
  CHECK(after(61s) == "chan receive, 1 minutes");
  CHECK(after(605s) == "chan receive, 10 minutes");
}

TEST_CASE("debug: a pinned fiber is shown locked to its thread", "[runtime][unit][SC-22][SC-23]") {
  test::run_with_procs([] {
    weft::chan<weft::fiber_id> id = weft::make_chan<weft::fiber_id>();
    weft::chan<int> gate = weft::make_chan<int>();
    weft::join_handle<void> h = weft::spawn([=] {
      const weft::thread_pin pin;
      id.send(weft::this_fiber::id());
      (void)gate.recv();
    });
    const weft::fiber_id fiber = id.recv().value();
    test::until([&] { return test::state_of(fiber) == "chan receive, locked to thread"; },
                "the pinned fiber is blocked");
    gate.close();
    h.join();
  });
}

TEST_CASE("debug: running, runnable and system calls are told apart",
          "[runtime][os][SC-22][SC-12]") {
  weft::run(
      [] {
        CHECK(test::state_of(weft::this_fiber::id()) == "running");
        // With one processor, held by this fiber, another one waits in the queue; but a look that
        // takes long may cost this fiber the processor.
        bool is_seen = false;
        weft::join_handle<void> other = weft::spawn(weft::fiber_options{"new"}, [&is_seen] {
          while (!is_seen) weft::yield();
        });
        test::until(
            [] {
              for (const weft::debug::fiber_info& f :
                   weft::debug::fibers(weft::debug::stacks::none))
                if (f.name == "new" && f.state.rfind("runnable", 0) == 0) return true;
              return false;
            },
            "the other fiber is runnable");
        is_seen = true;
        other.join();

        std::atomic<bool> inside{false};
        std::atomic<bool> release{false};
        weft::join_handle<weft::fiber_id> h = weft::spawn(weft::fiber_options{"caller"}, [&] {
          weft::blocking([&] {
            inside = true;
            test::spin_until_set(release);
          });
          return weft::this_fiber::id();
        });
        test::until([&] { return inside.load(); }, "the call has begun");
        std::string state;
        for (const weft::debug::fiber_info& f : weft::debug::fibers())
          if (f.name == "caller") state = f.state;
        CHECK(state == "syscall");
        release = true;
        h.join();
      },
      weft::options{.procs = 1});
}

TEST_CASE("debug: fibers() tells id, name, state, since when and creation site",
          "[runtime][unit][SC-30]") {
  test::run_with_procs([] {
    const weft::clock::time_point before = weft::clock::now();
    weft::chan<int> gate = weft::make_chan<int>();
    weft::chan<weft::fiber_id> id = weft::make_chan<weft::fiber_id>(1);
    const unsigned line = std::source_location::current().line() + 1;
    weft::go(weft::fiber_options{"subject"}, [=] {
      id.send(weft::this_fiber::id());
      (void)gate.recv();
    });
    const weft::fiber_id fiber = id.recv().value();
    test::until_blocked(1, "chan receive");
    const weft::clock::time_point after = weft::clock::now();
    const std::optional<weft::debug::fiber_info> info = test::find_fiber(fiber);
    REQUIRE(info.has_value());
    CHECK(info->name == "subject");
    CHECK(info->state == "chan receive");
    // By a clock that is read now and then.
    CHECK(info->since >= before - 100ms);
    CHECK(info->since <= after);
    CHECK(test::contains(info->created_at.file, "debug_test.cpp"));
    CHECK(info->created_at.line == static_cast<int>(line));
    CHECK(!info->created_at.function.empty());
    CHECK(weft::debug::fibers().size() == 2);
    gate.close();
  });
}

TEST_CASE("debug: the site of spawn and of a runtime's go are the caller's too",
          "[runtime][unit][SC-30]") {
  test::run_with_procs([] {
    weft::chan<int> gate = weft::make_chan<int>();
    const auto line = static_cast<int>(std::source_location::current().line());
    weft::join_handle<void> h = weft::spawn([=] { (void)gate.recv(); });
    weft::runtime::current()->go([=] { (void)gate.recv(); });
    test::until_blocked(2, "chan receive");
    std::vector<int> lines;
    for (const weft::debug::fiber_info& f : weft::debug::fibers()) {
      if (f.state != "chan receive") continue;
      CHECK(test::contains(f.created_at.file, "debug_test.cpp"));
      lines.push_back(f.created_at.line);
    }
    std::sort(lines.begin(), lines.end());
    CHECK(lines == std::vector<int>{line + 1, line + 2});
    gate.close();
    h.join();
  });
}

TEST_CASE("debug: dump shows every fiber, on a descriptor and on a stream",
          "[runtime][unit][SC-30]") {
  test::run_with_procs([] {
    weft::chan<int> gate = weft::make_chan<int>();
    for (int i = 0; i < 3; ++i)
      weft::go(weft::fiber_options{"subject " + std::to_string(i)}, [=] { (void)gate.recv(); });
    test::until_blocked(3, "chan receive");
    std::ostringstream stream;
    weft::debug::dump(stream);
    for (const std::string& text : {test::dump_text(), stream.str()}) {
      INFO(text);
      CHECK(test::count_of(text, "fiber ") >= 4);
      CHECK(test::count_of(text, "[chan receive]:") == 3);
      CHECK(test::count_of(text, "[running]:") == 1);
      for (int i = 0; i < 3; ++i) CHECK(test::contains(text, "subject " + std::to_string(i)));
      CHECK(test::contains(text, "debug_test.cpp"));
      std::ostringstream id;
      id << weft::this_fiber::id();
      CHECK(test::contains(text, "fiber " + id.str() + " [running]:"));
    }
    gate.close();
  });
}

TEST_CASE("debug: a fiber that has not run yet is shown with its site", "[runtime][unit][SC-30]") {
  weft::run(
      [] {
        weft::go(weft::fiber_options{"fresh"}, [] {});
        const std::string text = test::dump_text();
        INFO(text);
        CHECK(test::contains(text, "runnable, not yet run"));
        CHECK(test::contains(text, "fresh"));
        weft::yield();
      },
      weft::options{.procs = 1, .seed = 3});
}

namespace {

// How many fibers of this name the dump shows: one a paragraph, and those said to be like it.
std::size_t count_in_dump(const std::string& text, const std::string& name) {
  std::size_t n = 0;
  for (std::size_t at = 0, end = 0; end != std::string::npos; at = end + 2) {
    end = text.find("\n\n", at);
    const std::string paragraph = text.substr(at, end - at);
    if (!test::contains(paragraph, name)) continue;
    const std::size_t more = paragraph.rfind("\nand ");
    n += more == std::string::npos ? 1 : 1 + std::stoul(paragraph.substr(more + 5));
  }
  return n;
}

}  // namespace

TEST_CASE("debug: dumps from a plain thread under load are whole", "[runtime][os][SC-30]") {
  test::run_with_procs([] {
    std::atomic<bool> stop{false};
    std::vector<weft::join_handle<void>> load;
    weft::chan<int> ring = weft::make_chan<int>();
    for (int i = 0; i < 4; ++i) {
      load.push_back(weft::spawn(weft::fiber_options{"pinger"}, [&, ring] {
        while (!stop) {
          weft::select(weft::send(ring, 1), weft::recv(ring), weft::timeout(1ms));
        }
      }));
      load.push_back(weft::spawn(weft::fiber_options{"parent"}, [&] {
        while (!stop) weft::spawn(weft::fiber_options{"child"}, [] { weft::yield(); }).join();
      }));
    }
    test::expectations e;
    std::thread watcher([&] {
      for (int i = 0; i < 50; ++i) {
        const std::string text = test::dump_text();
        e.that(count_in_dump(text, "pinger") >= 4, "every living fiber is in the dump");
        const std::vector<weft::debug::fiber_info> all = weft::debug::fibers();
        e.that(all.size() >= 9, "and in the list");
        for (const weft::debug::fiber_info& f : all) e.that(!f.state.empty(), "each with a state");
      }
      stop = true;
    });
    for (weft::join_handle<void>& f : load) f.join();
    watcher.join();
    CHECK(e.failures() == "");
  });
}

namespace {

int dump_target = -1;

void dump_in_handler(int) { weft::debug::dump(dump_target); }

std::string file_text(int fd) {
  std::string text;
  ::lseek(fd, 0, SEEK_SET);
  char block[4096];
  for (ssize_t n = 0; (n = ::read(fd, block, sizeof block)) > 0;)
    text.append(block, static_cast<std::size_t>(n));
  return text;
}

}  // namespace

TEST_CASE("debug: dumps from a signal handler, wherever the signal hits", "[runtime][os][SC-30]") {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  dump_target = fileno(file);
  struct sigaction action{};
  struct sigaction previous{};
  action.sa_handler = dump_in_handler;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  sigaction(SIGUSR1, &action, &previous);
  test::run_with_procs([] {
    // Signals hit the machines while they spawn, park and allocate: a handler that took a lock of
    // the scheduler or of malloc would hang here.
    std::atomic<bool> stop{false};
    std::vector<weft::join_handle<void>> load;
    for (int i = 0; i < 4; ++i) {
      load.push_back(weft::spawn([&] {
        while (!stop) weft::spawn([s = std::string(200, 'x')] { weft::yield(); }).join();
      }));
    }
    const pid_t process = ::getpid();
    std::thread sender([&] {
      for (int i = 0; i < 100; ++i) {
        ::kill(process, SIGUSR1);
        std::this_thread::yield();
      }
      stop = true;
    });
    for (weft::join_handle<void>& f : load) f.join();
    sender.join();
    ::raise(SIGUSR1);  // on this very fiber
  });
  sigaction(SIGUSR1, &previous, nullptr);
  const std::string text = file_text(dump_target);
  CHECK(test::contains(text, "[running]:"));
  CHECK(test::contains(text, "debug_test.cpp"));
  std::fclose(file);
}
