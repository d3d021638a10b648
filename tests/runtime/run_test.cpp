// run, go, spawn and join: results, exceptions, order, names and identities.
#include "support/run.hpp"

#include <algorithm>
#include <atomic>
#include <concepts>
#include <functional>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"
#include "weft/runtime.hpp"

namespace {

std::atomic<int> named_calls{0};
void called_by_name() { ++named_calls; }

int main_by_name() {
  weft::go(called_by_name);
  weft::spawn(called_by_name).join();
  test::until([] { return named_calls == 2; }, "both were called");
  return named_calls * 2;
}

struct odd_error : std::runtime_error {
  explicit odd_error(int n) : std::runtime_error("odd"), number(n) {}
  int number;
};

static_assert(std::regular<weft::fiber_id>);
static_assert(std::totally_ordered<weft::fiber_id>);
static_assert(!std::copyable<weft::join_handle<int>>);
static_assert(std::movable<weft::join_handle<int>>);
static_assert(std::movable<weft::join_handle<void>>);
static_assert(!std::is_copy_constructible_v<weft::runtime>);
static_assert(!std::is_move_constructible_v<weft::thread_pin>);
static_assert(std::same_as<decltype(weft::run([] { return 1L; })), long>);
static_assert(std::same_as<decltype(weft::run([] {})), void>);
static_assert(std::same_as<decltype(weft::spawn([] { return std::string(); })),
                           weft::join_handle<std::string>>);

}  // namespace

TEST_CASE("run: gives back what main returns", "[runtime][unit][SC-03]") {
  CHECK(weft::run([] { return 42; }) == 42);
  std::unique_ptr<int> result = weft::run([] { return std::make_unique<int>(7); });
  CHECK(*result == 7);
  bool ran = false;
  weft::run([&] { ran = true; }, weft::options{.procs = 2});
  CHECK(ran);
  // The callable is moved, never copied.
  auto token = std::make_unique<int>(9);
  CHECK(weft::run([t = std::move(token)] { return *t; }) == 9);
}

TEST_CASE("run: main and the others may be functions by name", "[runtime][unit][SC-03]") {
  CHECK(weft::run(main_by_name) == 4);
}

TEST_CASE("run: rethrows what leaves main, as it was thrown", "[runtime][unit][SC-03][SC-17]") {
  for (const unsigned procs : {1U, 2U, 4U}) {
    try {
      weft::run(
          [] {
            weft::yield();
            throw odd_error(3);
          },
          weft::options{.procs = procs});
      FAIL("run returned");
    } catch (const odd_error& e) {
      CHECK(e.number == 3);
    }
    CHECK_THROWS_AS(weft::run([]() -> int { throw 5; }, weft::options{.procs = procs}), int);
  }
}

TEST_CASE("run: main is a fiber, and the only one at first", "[runtime][unit][SC-03][SC-26]") {
  CHECK(weft::runtime::current() == nullptr);
  test::run_with_procs([] {
    CHECK(weft::num_fibers() == 1);
    CHECK(weft::runtime::current() != nullptr);
    CHECK(weft::this_fiber::id() != weft::fiber_id{});
  });
  CHECK(weft::runtime::current() == nullptr);
}

TEST_CASE("run: works again and again, also after an exception", "[runtime][unit][SC-03][SC-36]") {
  for (int i = 0; i < 20; ++i) {
    CHECK_THROWS_AS(weft::run([] { throw odd_error(1); }), odd_error);
    CHECK(weft::run([i] { return weft::spawn([i] { return i; }).join(); }) == i);
  }
}

TEST_CASE("go: what was written before is seen inside, and join sees what was written inside",
          "[runtime][unit][SC-01]") {
  // Plain memory: ThreadSanitizer reports a missing edge.
  test::run_with_procs([] {
    for (int i = 0; i < 200; ++i) {
      int before = i;
      int after = -1;
      bool other = false;
      weft::chan<weft::unit> ended = weft::make_chan<weft::unit>();
      weft::join_handle<void> h = weft::spawn([&] { after = before + 1; });
      weft::go([&, ended] {
        other = before == i;
        ended.send({});
      });
      h.join();
      (void)ended.recv();
      REQUIRE(after == i + 1);
      REQUIRE(other);
    }
  });
}

TEST_CASE("go: returns at once, also when its fiber blocks for long", "[runtime][unit][SC-01]") {
  test::run_with_procs([] {
    weft::chan<int> gate = weft::make_chan<int>();
    test::tally through;
    for (int i = 0; i < 10; ++i) {
      weft::go([gate, &through] {
        (void)gate.recv();
        through.add();
      });
    }
    // A go that ran its fiber to the end would never come here.
    CHECK(through.count() == 0);
    gate.close();
    test::until([&] { return through.count() == 10; }, "all fibers have gone on");
  });
}

TEST_CASE("go: takes callables that can only be moved, and keeps them until they have run",
          "[runtime][unit][SC-01]") {
  test::run_with_procs([] {
    std::atomic<int> destroyed{0};
    std::atomic<int> sum{0};
    {
      std::vector<weft::join_handle<void>> fibers;
      for (int i = 0; i < 100; ++i) {
        fibers.push_back(
            weft::spawn([&, s = std::make_unique<test::sentinel>(destroyed), i] { sum += i; }));
      }
      for (weft::join_handle<void>& f : fibers) f.join();
    }
    CHECK(sum == 4950);
    CHECK(destroyed == 100);
  });
}

TEST_CASE("go: callables larger than a fiber's record, and over-aligned ones, arrive whole",
          "[runtime][unit][SC-01]") {
  struct alignas(64) wide {
    unsigned char bytes[4096];
  };
  test::run_with_procs([] {
    wide w;
    std::fill(std::begin(w.bytes), std::end(w.bytes), static_cast<unsigned char>(0x5a));
    for (int i = 0; i < 50; ++i) {
      auto h = weft::spawn([w] {
        const bool aligned = reinterpret_cast<std::uintptr_t>(&w) % 64 == 0;
        return aligned && std::all_of(std::begin(w.bytes), std::end(w.bytes),
                                      [](unsigned char b) { return b == 0x5a; });
      });
      REQUIRE(h.join());
    }
  });
}

TEST_CASE("go: a callable whose move throws starts no fiber and leaks none",
          "[runtime][unit][SC-01]") {
  struct brittle {
    explicit brittle(int n) : left(n) {}
    brittle(const brittle& other) : left(other.left - 1) {
      if (left < 0) throw odd_error(0);
    }
    void operator()() const {}
    int left;
  };
  test::run_with_procs([] {
    const brittle f(0);
    CHECK_THROWS_AS(weft::go(f), odd_error);
    CHECK_THROWS_AS(weft::spawn(f), odd_error);
    CHECK(weft::num_fibers() == 1);
  });
}

TEST_CASE("go: an empty function is refused at the call", "[runtime][unit][SC-02]") {
  test::run_with_procs([] {
    const std::function<void()> none;
    CHECK(test::contains(test::thrown_by<std::logic_error>([&] { weft::go(none); }),
                         "go of nil func value"));
    CHECK(test::contains(
        test::thrown_by<std::logic_error>([&] { weft::go(weft::fiber_options{"named"}, none); }),
        "go of nil func value"));
    CHECK(test::contains(test::thrown_by<std::logic_error>(
                             [&] { weft::runtime::current()->go(std::function<void()>()); }),
                         "go of nil func value"));
    CHECK(test::contains(test::thrown_by<std::logic_error>([&] { weft::spawn(none).join(); }),
                         "go of nil func value"));
    CHECK(weft::num_fibers() == 1);
  });
}

TEST_CASE("go: from a plain thread needs exactly one runtime", "[runtime][unit][SC-37]") {
  CHECK_THROWS_AS(weft::go([] {}), std::logic_error);
  CHECK_THROWS_AS(weft::spawn([] {}), std::logic_error);
  weft::runtime one(weft::options{.procs = 1});
  CHECK(weft::spawn([] { return 1; }).join() == 1);
  {
    weft::runtime two(weft::options{.procs = 1});
    CHECK_THROWS_AS(weft::go([] {}), std::logic_error);
    // Inside a fiber it is the fiber's own.
    CHECK(two.block_on(
              [&] { return weft::spawn([] { return weft::runtime::current(); }).join(); }) == &two);
  }
  CHECK(weft::spawn([] { return weft::runtime::current(); }).join() == &one);
}

TEST_CASE("join: gives the result, whatever its type", "[runtime][unit][SC-17]") {
  test::run_with_procs([] {
    CHECK(weft::spawn([] { return std::string("text"); }).join() == "text");
    CHECK(*weft::spawn([] { return std::make_unique<int>(3); }).join() == 3);
    weft::spawn([] {}).join();
  });
}

TEST_CASE("join: rethrows what left the fiber", "[runtime][unit][SC-17]") {
  test::run_with_procs([] {
    weft::join_handle<int> h = weft::spawn([]() -> int {
      weft::yield();
      throw odd_error(8);
    });
    try {
      h.join();
      FAIL("join returned");
    } catch (const odd_error& e) {
      CHECK(e.number == 8);
    }
    CHECK_THROWS_AS(weft::spawn([] { throw 4; }).join(), int);
  });
}

TEST_CASE("join: the destructor of a handle waits for the fiber", "[runtime][unit][SC-01]") {
  test::run_with_procs([] {
    for (int i = 0; i < 50; ++i) {
      int ended = 0;
      {
        weft::join_handle<void> h = weft::spawn([&] {
          for (int k = 0; k < 10; ++k) weft::yield();
          ended = 1;
        });
      }
      REQUIRE(ended == 1);
    }
  });
}

TEST_CASE("join: a handle moves, and a detached one waits for nothing", "[runtime][unit][SC-01]") {
  test::run_with_procs([] {
    weft::join_handle<int> first = weft::spawn([] { return 5; });
    weft::join_handle<int> second = std::move(first);
    CHECK(second.join() == 5);

    weft::chan<int> gate = weft::make_chan<int>();
    test::tally ended;
    {
      weft::join_handle<void> h = weft::spawn([gate, &ended] {
        (void)gate.recv();
        ended.add();
      });
      h.detach();
    }  // a destructor that joined would hang
    CHECK(ended.count() == 0);
    gate.close();
    test::until([&] { return ended.count() == 1; }, "the detached fiber has ended");
  });
}

TEST_CASE("join: many fibers deep and wide add up", "[runtime][unit][SC-01]") {
  struct tree {
    static long sum(int depth) {
      if (depth == 0) return 1;
      weft::join_handle<long> left = weft::spawn([depth] { return sum(depth - 1); });
      const long right = sum(depth - 1);
      return left.join() + right;
    }
  };
  test::run_with_procs([] { CHECK(tree::sum(10) == 1024); });
}

TEST_CASE("this_fiber: names are given, read and changed", "[runtime][unit][SC-30]") {
  test::run_with_procs([] {
    weft::join_handle<std::string> h = weft::spawn(weft::fiber_options{"reader"}, [] {
      std::string seen{weft::this_fiber::name()};
      weft::yield();
      weft::this_fiber::set_name("reader of many things, with a name that is not short");
      weft::yield();
      weft::this_fiber::set_label("kind", "reader");
      return seen + "|" + std::string(weft::this_fiber::name());
    });
    CHECK(h.join() == "reader|reader of many things, with a name that is not short");
    CHECK(weft::spawn([] { return std::string(weft::this_fiber::name()); }).join().empty());
  });
}

TEST_CASE("fiber_id: is never given twice, over fibers and runtimes", "[runtime][unit][SC-04]") {
  std::set<weft::fiber_id> seen;
  std::size_t given = 0;
  for (int round = 0; round < 3; ++round) {
    test::run_with_procs([&] {
      std::vector<weft::join_handle<weft::fiber_id>> fibers;
      for (int i = 0; i < 300; ++i)
        fibers.push_back(weft::spawn([] { return weft::this_fiber::id(); }));
      for (weft::join_handle<weft::fiber_id>& f : fibers) seen.insert(f.join());
      seen.insert(weft::this_fiber::id());
      given += 301;  // records and stacks are used again and again, ids are not
    });
  }
  CHECK(seen.size() == given);
}

TEST_CASE("fiber_id: stays the same over parks, compares, hashes and prints",
          "[runtime][unit][SC-04]") {
  test::run_with_procs([] {
    const weft::fiber_id mine = weft::this_fiber::id();
    for (int i = 0; i < 50; ++i) {
      weft::spawn([] { weft::yield(); }).join();
      REQUIRE(weft::this_fiber::id() == mine);
    }
    const weft::fiber_id other = weft::spawn([] { return weft::this_fiber::id(); }).join();
    CHECK(other != mine);
    CHECK((mine < other) != (other < mine));
    CHECK(std::unordered_set<weft::fiber_id>{mine, other, mine}.size() == 2);
    std::ostringstream a;
    std::ostringstream b;
    a << mine;
    b << other;
    CHECK(a.str() != b.str());
    CHECK(!a.str().empty());
  });
}

TEST_CASE("num_fibers: counts the fibers that have not ended", "[runtime][unit][SC-26]") {
  test::run_with_procs([] {
    REQUIRE(weft::num_fibers() == 1);
    weft::chan<int> gate = weft::make_chan<int>();
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 20; ++i) fibers.push_back(weft::spawn([gate] { (void)gate.recv(); }));
    CHECK(weft::num_fibers() == 21);  // run or not yet run, blocked or not
    gate.close();
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(weft::num_fibers() == 1);  // joined means ended, at once
  });
}

TEST_CASE("join: of a fiber that left by exit_fiber tells so", "[runtime][unit][SC-13]") {
  test::run_with_procs([] {
    weft::join_handle<int> h = weft::spawn([]() -> int { weft::exit_fiber(); });
    try {
      h.join();
      FAIL("join returned");
    } catch (const std::system_error& e) {
      CHECK(e.code() == weft::errc::fiber_exited);
    }
    // The destructor has nothing to collect.
    {
      weft::join_handle<void> dropped = weft::spawn([] { weft::exit_fiber(); });
    }
    CHECK(weft::num_fibers() == 1);
  });
}
