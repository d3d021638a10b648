// What a runtime without threads of its own keeps to: exceptions, options, misuse, pins, its end.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/embedded.hpp"
#include "support/probe.hpp"
#include "support/recurse.hpp"
#include "weft/arch/fault.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

using namespace std::chrono_literals;
using test::embedded;
using test::is_misuse;
using test::run_until_idle;
using test::turn;

TEST_CASE("run_once: the caller's own exceptions stay its own", "[runtime][unit][SC-16]") {
  weft::runtime rt(embedded());
  const weft::chan<int> ch = weft::make_chan<int>();
  bool clean = false;
  rt.go([&, ch] {
    clean = std::current_exception() == nullptr && std::uncaught_exceptions() == 0;
    static_cast<void>(ch.recv());
  });
  try {
    throw std::runtime_error("the caller's");
  } catch (const std::exception&) {
    run_until_idle(rt);
    CHECK(clean);
    try {
      std::rethrow_exception(std::current_exception());
    } catch (const std::runtime_error& e) {
      CHECK(std::string(e.what()) == "the caller's");
    }
  }
}

TEST_CASE("own_threads: options that contradict it", "[runtime][unit]") {
  weft::options o = embedded();
  CHECK_THROWS_AS(weft::run([] {}, o), std::invalid_argument);
  o.procs = 2;
  CHECK_THROWS_AS(weft::runtime(o), std::invalid_argument);
  o.procs = 1;
  weft::runtime one(o);
  CHECK(one.block_on([] { return weft::procs(); }) == 1);
  CHECK(one.block_on([] { return weft::set_procs(1); }) == 1);
  CHECK_THROWS_AS(one.block_on([] { return weft::set_procs(2); }), std::invalid_argument);
  o.seed = 5;
  CHECK_THROWS_AS(weft::runtime(o), std::invalid_argument);
}

TEST_CASE("own_threads: a descriptor that the system refuses is an exception, and nothing stays",
          "[runtime][os][SC-36]") {
  static int calls_left;
  const auto refuse = [](const char* call) noexcept {
    const std::string_view name(call);
    const bool makes = name == "epoll_create1" || name == "eventfd" || name == "timerfd_create" ||
                       name == "epoll_ctl";
    return makes && calls_left-- == 0 ? EMFILE : 0;
  };
  const test::holdings before = test::holdings::now();
  int refused = 0;
  for (int n = 0; n < 10; ++n) {
    calls_left = n;
    weft::detail::set_fault_hook_for_testing(refuse);
    try {
      weft::runtime rt(embedded());
      weft::detail::set_fault_hook_for_testing(nullptr);
      CHECK(rt.block_on([] { return 3; }) == 3);
    } catch (const std::system_error& e) {
      weft::detail::set_fault_hook_for_testing(nullptr);
      CHECK(e.code().value() == EMFILE);
      ++refused;
    }
  }
  CHECK(refused == 5);  // three descriptors, two of them watched
  CHECK(test::holdings::now().descriptors == before.descriptors);
}

TEST_CASE("run_once: misuse is an error", "[runtime][unit]") {
  weft::runtime own(weft::options{.procs = 1});
  CHECK_THROWS_AS(turn(own), std::logic_error);
  CHECK_THROWS_AS(own.poll_fd(), std::logic_error);

  weft::runtime rt(embedded());
  weft::runtime second(embedded());
  bool nested = false;
  rt.go([&] {
    CHECK_THROWS_AS(turn(rt), std::logic_error);
    CHECK_THROWS_AS(turn(second), std::logic_error);
    CHECK_THROWS_AS(rt.block_on([] {}), std::logic_error);
    CHECK_THROWS_AS(rt.shutdown(), std::logic_error);
    weft::on_system_stack([&] { CHECK_THROWS_AS(turn(second), std::logic_error); });
    nested = true;
  });
  run_until_idle(rt);
  CHECK(nested);
  CHECK_THROWS_AS(own.block_on([&] { turn(rt); }), std::logic_error);
  rt.shutdown();
  CHECK_THROWS_AS(turn(rt), std::logic_error);
  CHECK_THROWS_AS(rt.poll_fd(), std::logic_error);
}

TEST_CASE("run_once: blocking runs inline, and deep calls on the loop's own stack",
          "[runtime][unit][SC-12]") {
  weft::runtime rt(embedded());
  rt.block_on([] {
    const std::thread::id here = test::thread_now();
    CHECK(weft::blocking([] { return test::thread_now(); }) == here);
    CHECK(weft::on_system_stack([] { return test::thread_now(); }) == here);
    CHECK_THROWS_AS(weft::blocking([]() -> int { throw std::domain_error("inside"); }),
                    std::domain_error);
  });
}

TEST_CASE("thread_pin: ties a runtime without threads to one", "[runtime][unit][SC-23]") {
  weft::runtime rt(embedded(weft::exit_policy::unwind));
  const weft::chan<int> ch = weft::make_chan<int>();
  std::vector<std::thread::id> where;
  bool other_ran = false;
  rt.go([&, ch] {
    const weft::thread_pin pin;
    const weft::thread_pin nested;
    while (ch.recv()) where.push_back(test::thread_now());
  });
  run_until_idle(rt);
  rt.go([&] { other_ran = true; });
  const auto elsewhere = [&] {
    bool refused = false;
    std::thread([&] {
      refused = is_misuse([&] { turn(rt); }) && is_misuse([&] { rt.shutdown(); });
    }).join();
    CHECK(refused);
  };
  elsewhere();
  for (int i = 0; i < 3; ++i) {
    CHECK(turn(rt));
    ch.send(i);
    elsewhere();
  }
  CHECK(other_ran);  // it is the only thread there is
  ch.close();
  run_until_idle(rt);
  CHECK(where == std::vector<std::thread::id>(3, test::thread_now()));
  rt.go([&] { where.push_back(test::thread_now()); });
  std::thread([&] { turn(rt); }).join();  // without a pin any thread may
  CHECK(where.back() != test::thread_now());
}

TEST_CASE("shutdown: each policy of a runtime without threads", "[runtime][unit][SC-36]") {
  std::atomic<int> destroyed{0};
  const weft::chan<int> never = weft::make_chan<int>();
  SECTION("abandon: nothing runs any more") {
    weft::runtime rt(embedded());
    bool ran = false;
    rt.go([&, never] {
      const test::sentinel s(destroyed);
      static_cast<void>(never.recv());
    });
    run_until_idle(rt);
    rt.go([&] { ran = true; });
    rt.shutdown();
    CHECK_FALSE(ran);
    CHECK(destroyed == 0);
  }
  SECTION("wait: the thread that stops drives them to their ends") {
    bool ended = false;
    {
      weft::runtime rt(embedded(weft::exit_policy::wait));
      rt.go([&] {
        weft::sleep_for(5ms);
        weft::go([&] {
          weft::yield();
          ended = true;
        });
      });
    }
    CHECK(ended);
  }
  SECTION("unwind: destructors run, also those that wait") {
    bool waited = false;
    struct waits {
      bool& done;
      ~waits() {
        weft::sleep_for(2ms);
        done = true;
      }
    };
    {
      weft::runtime rt(embedded(weft::exit_policy::unwind));
      for (int i = 0; i < 10; ++i) {
        rt.go([&, never] {
          const test::sentinel s(destroyed);
          static_cast<void>(never.recv());
        });
      }
      rt.go([&] {
        const waits w{waited};
        weft::sleep_for(1h);
      });
      run_until_idle(rt);
    }
    CHECK(destroyed == 10);
    CHECK(waited);
  }
}

TEST_CASE("run_once: fibers wait for ever without a deadlock report", "[runtime][os][SC-20]") {
  const test::child_end end = test::in_child([] {
    weft::runtime rt(embedded());
    rt.go([] { static_cast<void>(weft::chan<int>().recv()); });
    run_until_idle(rt);
    rt.run_once(weft::clock::now() + 1500ms);  // longer than a report may take
    weft::run([&] {
      std::thread other([&] { rt.run_once(weft::clock::now() + 1500ms); });
      weft::blocking([&] { other.join(); });
    });
  });
  CHECK(end.status == 0);
  CHECK(end.err.empty());
}

TEST_CASE("run_once: an exception that nobody catches ends the process with its report",
          "[runtime][os][SC-17]") {
  const test::child_end end = test::in_child([] {
    weft::runtime rt(embedded());
    rt.go([] { throw std::runtime_error("out of a fiber"); });
    try {
      turn(rt);
    } catch (...) {
      std::_Exit(7);  // it must not come out here
    }
  });
  CHECK(end.status == 2);
  CHECK(end.err.find("panic: out of a fiber") != std::string::npos);
}

TEST_CASE("run_once: a stack overflow is reported on a thread without a signal stack",
          "[runtime][os][SC-27]") {
  const test::child_end end = test::in_child([] {
    weft::runtime rt(embedded());
    rt.go({.name = "deep"}, [] { test::recurse(0); });
    std::thread([&] { turn(rt); }).join();
  });
  CHECK(end.status == 2);
  CHECK(end.err.find("stack overflow") != std::string::npos);
}
