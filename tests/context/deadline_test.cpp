// Deadlines of contexts: when they end them, with which error and cause, and what is released.
#include <chrono>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "support/alloc.hpp"
#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/virtual_time.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"

using namespace std::chrono_literals;
using weft::clock;
using weft::context;
using weft::errc;
using weft::with_cancel;
using weft::with_deadline;
using weft::with_timeout;

TEST_CASE("context: it is done at its deadline and not before", "[context][unit][CX-08][ST-22]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    auto [ctx, cancel] = with_deadline({}, watch.start() + 2s);
    CHECK(ctx.deadline() == watch.start() + 2s);
    weft::sleep_for(2s - 1ns);
    CHECK_FALSE(ctx.err());
    CHECK_FALSE(ctx.done().recv());
    CHECK(watch.elapsed() == 2s);
    CHECK(ctx.err() == errc::deadline_exceeded);
    CHECK(ctx.err() == std::errc::timed_out);
    CHECK(ctx.err().message() == "context deadline exceeded");
    CHECK(ctx.deadline() == watch.start() + 2s);
  });
}

TEST_CASE("context: on the real clock it is not done early, and soon after",
          "[context][os][CX-08]") {
  test::run_with_procs([] {
    const test::stopwatch watch;
    auto [ctx, cancel] = with_timeout({}, 5ms);
    auto [child, cancel_child] = with_cancel(ctx);
    static_cast<void>(child.done().recv());
    CHECK(watch.elapsed() >= 5ms);
    CHECK(watch.elapsed() < test::soon(5ms));
    CHECK(child.err() == errc::deadline_exceeded);
    CHECK(ctx.err() == errc::deadline_exceeded);
  });
}

TEST_CASE("context: with a deadline that is past it is done at once",
          "[context][unit][CX-09][CX-11]") {
  test::run_in_virtual_time([] {
    for (const auto d : {0ns, -1ns, clock::duration::min()}) {
      auto [ctx, cancel] = with_timeout({}, d);
      CHECK(ctx.err() == errc::deadline_exceeded);
      CHECK(ctx.done().is_closed());
      auto [child, cancel_child] = with_timeout(ctx, 1h);
      CHECK(child.err() == errc::deadline_exceeded);
    }
    auto [ctx, cancel] = with_deadline({}, clock::now());
    CHECK(ctx.err() == errc::deadline_exceeded);
    // A parent that was cancelled comes first.
    auto [parent, cancel_parent] = with_cancel({});
    cancel_parent();
    auto [child, cancel_child] = with_timeout(parent, 0s);
    CHECK(child.err() == errc::canceled);
  });
}

TEST_CASE("context: a parent's earlier deadline is the child's", "[context][unit][CX-10]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    const auto cause = std::make_exception_ptr(std::runtime_error("parent's"));
    auto [ctx, cancel] = with_timeout({}, 1s, cause);
    auto [child, cancel_child] =
        with_timeout(ctx, 5s, std::make_exception_ptr(std::runtime_error("child's")));
    CHECK(child.deadline() == watch.start() + 1s);
    static_cast<void>(child.done().recv());
    CHECK(watch.elapsed() == 1s);
    CHECK(child.err() == errc::deadline_exceeded);
    CHECK(child.cause() == cause);
    auto [plain, cancel_plain] = with_cancel(ctx);
    CHECK(plain.deadline() == watch.start() + 1s);
  });
}

TEST_CASE("context: a child's earlier deadline leaves the parent alone", "[context][unit][CX-10]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    auto [ctx, cancel] = with_timeout({}, 5s);
    auto [child, cancel_child] = with_timeout(ctx, 1s);
    CHECK(child.deadline() == watch.start() + 1s);
    static_cast<void>(child.done().recv());
    CHECK(watch.elapsed() == 1s);
    CHECK_FALSE(ctx.err());
    static_cast<void>(ctx.done().recv());
    CHECK(watch.elapsed() == 5s);
  });
}

TEST_CASE("context: the longest timeouts never end it", "[context][unit][CX-11][TI-29]") {
  test::run_in_virtual_time([] {
    auto [ctx, cancel] = with_timeout({}, clock::duration::max());
    auto [other, cancel_other] = with_deadline({}, clock::time_point::max());
    weft::sleep_for(24h * 365 * 100);
    CHECK_FALSE(ctx.err());
    CHECK_FALSE(other.err());
    CHECK_FALSE(ctx.deadline());
  });
}

TEST_CASE("context: one with children is done at its deadline with all of them",
          "[context][unit][CX-08][CX-05]") {
  test::run_in_virtual_time([] {
    constexpr int n = 200;
    auto [ctx, cancel] = with_timeout({}, 1s);
    std::vector<weft::cancelable_context> below;
    for (int i = 0; i < n; ++i) {
      below.push_back(i % 3 == 0 ? with_timeout(ctx, 1h) : with_cancel(ctx));
      below.push_back(with_timeout(below.back().ctx, 500ms + i * 10ms));
    }
    const test::stopwatch watch;
    for (const auto& c : below) static_cast<void>(c.ctx.done().recv());
    CHECK(watch.elapsed() == 1s);
    int exceeded = 0;
    for (const auto& c : below) exceeded += c.ctx.err() == errc::deadline_exceeded ? 1 : 0;
    CHECK(exceeded == 2 * n);
  });
}

TEST_CASE("context: cancelled before its deadline it is just cancelled, and its timer gone",
          "[context][unit][CX-12][CX-18]") {
  test::run_in_virtual_time([] {
    const auto cause = std::make_exception_ptr(std::runtime_error("too late"));
    auto [ctx, cancel] = with_timeout({}, 1s, cause);
    cancel();
    CHECK(ctx.err() == errc::canceled);
    weft::sleep_for(2s);
    CHECK(ctx.err() == errc::canceled);
    CHECK(ctx.cause() != cause);
    const auto churn = [](int n) {
      for (int i = 0; i < n; ++i) {
        auto [c, cancel_c] = with_timeout({}, 1h);
        auto [d, cancel_d] = with_timeout(c, 1min);
        if (i % 2 == 0) cancel_c();
      }
    };
    churn(1'000);
    const std::ptrdiff_t before = test::live_bytes();
    churn(test::sanitized ? 5'000 : 100'000);
    CHECK(test::live_bytes() - before < 16 * 1024);
  });
}

TEST_CASE("context: the cause given for the deadline is the cause of its passing",
          "[context][unit][CX-18][CX-16]") {
  test::run_in_virtual_time([] {
    const auto cause = std::make_exception_ptr(std::runtime_error("too late"));
    auto [ctx, cancel] = with_timeout({}, 1s, cause);
    auto [child, cancel_child] = with_cancel(ctx);
    CHECK(ctx.cause() == nullptr);
    weft::sleep_for(1s);
    static_cast<void>(child.done().recv());
    CHECK(ctx.err() == errc::deadline_exceeded);
    CHECK(ctx.cause() == cause);
    CHECK(child.cause() == cause);
    auto [plain, cancel_plain] = with_timeout({}, 0s);
    try {
      std::rethrow_exception(plain.cause());
    } catch (const std::system_error& e) {
      CHECK(e.code() == errc::deadline_exceeded);
    }
  });
}

TEST_CASE("context: a deadline ends a blocked call", "[context][unit][CX-22][CX-08]") {
  test::run_in_virtual_time([] {
    const test::stopwatch watch;
    auto [ctx, cancel] = with_timeout({}, 3s);
    const auto c = weft::make_chan<int>();
    std::error_code ec;
    CHECK_FALSE(c.recv(ctx, ec));
    CHECK(ec == errc::deadline_exceeded);
    CHECK(weft::select(weft::recv(c), weft::done(ctx)) == 1);
    CHECK(watch.elapsed() == 3s);
  });
}

TEST_CASE("context: deadlines that pass while they are cancelled, made and dropped do no harm",
          "[context][stress][CX-14][CX-12]") {
  test::run_with_procs([](unsigned procs) {
    test::expectations e;
    std::vector<test::task> tasks;
    auto [root, cancel_root] = with_cancel({});
    for (unsigned i = 0; i < procs + 1; ++i) {
      tasks.emplace_back(i == 0 ? test::kind::thread : test::kind::fiber, [&] {
        for (int r = 0; r < 1'000; ++r) {
          auto [ctx, cancel] = with_timeout(root, std::chrono::microseconds(r % 30));
          auto [child, cancel_child] = with_timeout(ctx, std::chrono::microseconds(r * 7 % 30));
          const auto done = r % 4 == 0 ? child.done() : weft::recv_chan<weft::unit>();
          if (r % 2 == 0) {
            static_cast<void>(child.done().recv());
          } else if (r % 3 == 0) {
            cancel();
          }
          if (r % 2 == 0) e.that(static_cast<bool>(child.err()), "the child is done");
        }
      });
    }
    test::join(tasks);
    CHECK(e.failures() == "");
    CHECK(weft::detail::context_access::node(root)->source->children_for_testing() == 0);
  });
}
