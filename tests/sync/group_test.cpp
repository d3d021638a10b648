// The group: joining, failing, cancelling, limits.
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/probe.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

using test::kind;
using test::task;

namespace {

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

}  // namespace

TEST_CASE("group: wait joins all children", "[sync][unit][EG-01][EG-07]") {
  test::run_with_procs([] {
    weft::group g;
    std::atomic<int> ended{0};
    const auto token = std::make_shared<int>(1);
    for (int i = 0; i < 8; ++i) {
      if (i % 2 == 0) {
        g.go([&, token] {
          weft::yield();
          ++ended;
        });
      } else {
        g.go([&, p = std::make_unique<int>(1)](const weft::context& ctx) {
          weft::yield();
          if (!ctx.err()) ended += *p;
        });
      }
    }
    g.wait();
    CHECK(ended == 8);
    CHECK(token.use_count() == 1);
    // The end of wait ends the children's context.
    CHECK(g.context().err() == weft::errc::canceled);
    g.wait();
  });
}

TEST_CASE("group: the first exception cancels the others and is rethrown by wait",
          "[sync][unit][EG-01][EG-02][EG-03][EG-07]") {
  test::run_with_procs([] {
    weft::group g;
    std::atomic<int> cancelled{0};
    std::atomic<bool> late_has_ended{false};
    std::string cause;
    for (int i = 0; i < 4; ++i) {
      g.go([&](weft::context ctx) {
        static_cast<void>(ctx.done().recv());
        ++cancelled;
        ctx.throw_if_done();  // canceled, which is not the first
      });
    }
    g.go([&](weft::context ctx) {
      static_cast<void>(ctx.done().recv());
      cause = message_of(ctx.cause());
      for (int i = 0; i < 100; ++i) weft::yield();
      late_has_ended = true;
      throw std::runtime_error("second");
    });
    g.go([] { throw std::runtime_error("first"); });
    for (int round = 0; round < 2; ++round) {
      try {
        g.wait();
        FAIL("did not throw");
      } catch (const std::runtime_error& e) {
        CHECK(e.what() == std::string("first"));
      }
      CHECK(cancelled == 4);
      CHECK(late_has_ended);
      CHECK(cause == "first");
    }
  });
}

TEST_CASE("group: the children's context ends with its parent", "[sync][unit][EG-02]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = weft::with_cancel(weft::context());
    weft::group g(ctx);
    g.go([](weft::context c) { static_cast<void>(c.done().recv()); });
    cancel(std::make_exception_ptr(std::runtime_error("enough")));
    g.wait();
    CHECK(message_of(g.context().cause()) == "enough");
  });
}

TEST_CASE("group: its destructor cancels and joins, also during unwinding", "[sync][unit][EG-03]") {
  test::run_with_procs([] {
    std::atomic<int> ended{0};
    const auto child = [&](weft::context ctx) {
      static_cast<void>(ctx.done().recv());
      for (int i = 0; i < 20; ++i) weft::yield();
      ++ended;
    };
    {
      weft::group g;
      g.go(child);
    }
    CHECK(ended == 1);
    try {
      weft::group g;
      g.go(child);
      throw std::runtime_error("out");
    } catch (const std::runtime_error&) {
      CHECK(ended == 2);
    }
    task leaves(kind::fiber, [&] {
      weft::group g;
      g.go(child);
      weft::exit_fiber();
    });
    test::until([&] { return ended == 3; }, "the group of a fiber that leaves has been joined");
  });
}

TEST_CASE("group: its destructor prints an exception that no wait has told",
          "[sync][unit][EG-03]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      weft::group g;
      g.go([] { throw std::runtime_error("nobody asks"); });
      while (!g.context().err()) weft::yield();
    });
  });
  CHECK(end.status == 0);
  CHECK(test::contains(end.err, "nobody asks"));
}

TEST_CASE("group I1: a limit bounds how many children run at once", "[sync][unit][EG-04][EG-06]") {
  test::run_with_procs([] {
    weft::group g;
    g.set_limit(3);
    std::atomic<int> active{0};
    test::expectations expect;
    for (int i = 0; i < 50; ++i) {
      g.go([&] {
        expect.that(++active <= 3, "no more than the limit");
        weft::yield();
        --active;
      });
    }
    g.wait();
    std::atomic<bool> go_on{false};
    for (int i = 0; i < 3; ++i) {
      CHECK(g.try_go([&] {
        while (!go_on) weft::yield();
      }));
    }
    CHECK_FALSE(g.try_go([] {}));
    task starter(kind::fiber, [&] { g.go([] {}); });
    starter.until_blocked();
    go_on = true;
    starter.join();
    g.wait();
    CHECK(g.try_go([] {}));
    g.wait();
    CHECK(expect.failures() == "");
  });
}

TEST_CASE("group: without a limit any number of children run at once",
          "[sync][unit][EG-04][EG-06]") {
  test::run_with_procs([] {
    weft::group g;
    const auto gate = weft::make_chan<weft::unit>();
    for (int i = 0; i < 200; ++i) CHECK(g.try_go([gate] { static_cast<void>(gate.recv()); }));
    test::until_blocked(200, "chan receive");
    gate.close();
    g.wait();
  });
}

TEST_CASE("group: with a limit of zero go blocks and try_go fails", "[sync][unit][EG-04]") {
  test::run_with_procs(
      [] {
        const auto g = std::make_shared<weft::group>();
        g->set_limit(0);
        CHECK_FALSE(g->try_go([] {}));
        weft::go([g] { g->go([] {}); });
        test::until_blocked(1);
      },
      {.leaves = 1});
}

TEST_CASE("group: its limit may not be changed while children are active", "[sync][unit][EG-05]") {
  test::run_with_procs([] {
    weft::group g;
    std::atomic<bool> go_on{false};
    for (int i = 0; i < 2; ++i) {
      g.go([&] {
        while (!go_on) weft::yield();
      });
    }
    const std::string said = test::thrown_by<weft::usage_error>([&] { g.set_limit(5); });
    CHECK(test::contains(said,
                         "errgroup: modify limit while 2 goroutines in the group are still "
                         "active"));
    go_on = true;
    g.wait();
    g.set_limit(1);
  });
}

TEST_CASE("group: a child that leaves by exit_fiber has not failed", "[sync][unit][EG-08]") {
  test::run_with_procs([] {
    weft::group g;
    g.set_limit(1);
    for (int i = 0; i < 5; ++i) g.go([] { weft::exit_fiber(); });
    g.wait();
  });
}

TEST_CASE("group: children that never ran are joined when the run is unwound",
          "[sync][unit][EG-03][SC-03]") {
  int dropped = 0;  // children that did not run before main returned
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed: " << seed);
    std::atomic<int> parents{0};
    std::atomic<int> begun{0};
    std::atomic<int> captures{0};
    weft::options o;
    o.seed = seed;
    o.on_exit = weft::exit_policy::unwind;
    weft::run(
        [&] {
          weft::go([&] {
            const test::sentinel frame(parents);
            weft::group g;
            for (int i = 0; i < 3; ++i) {
              g.go([&, held = std::make_unique<test::sentinel>(captures)] {
                ++begun;
                (void)weft::chan<int>().recv();
              });
            }
            g.wait();
          });
          while (weft::num_fibers() < 4) weft::yield();
        },
        o);
    CHECK(parents == 1);
    CHECK(captures == 3);
    dropped += 3 - begun;
  }
  CHECK(dropped > 0);
}

TEST_CASE("group: a wait with a context ends when the context is done", "[sync][unit][SY-48]") {
  test::run_with_procs([] {
    weft::group g;
    std::atomic<bool> go_on{false};
    g.go([&] {
      while (!go_on) weft::yield();
    });
    auto [ctx, cancel] = weft::with_cancel(weft::context());
    task waiter(kind::fiber, [&, c = ctx] { g.wait(c); });
    waiter.until_blocked();
    cancel();
    CHECK_THROWS_AS(waiter.join(), std::system_error);
    std::error_code ec;
    CHECK_FALSE(g.wait(ctx, ec));
    CHECK(ec == weft::errc::canceled);
    go_on = true;
    CHECK(g.wait(weft::context(), ec));
  });
}

TEST_CASE("group I2: it may be destroyed as soon as the wait has returned",
          "[sync][stress][EG-01]") {
  test::run_with_procs([] {
    for (int i = 0; i < 500; ++i) {
      auto g = std::make_unique<weft::group>();
      std::atomic<int> ended{0};
      for (int n = 0; n < 3; ++n) g->go([&] { ++ended; });
      g->wait();
      g.reset();
      CHECK(ended == 3);
    }
  });
}
