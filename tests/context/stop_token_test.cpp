// Contexts from stop tokens and stop tokens from contexts.
#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "support/alloc.hpp"
#include "support/catch.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/virtual_time.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"

using namespace std::chrono_literals;
using weft::context;
using weft::errc;
using weft::from_stop_token;
using weft::to_stop_token;
using weft::with_cancel;

TEST_CASE("context: a requested stop cancels it with all its children", "[context][unit][CX-29]") {
  test::run_with_procs([] {
    std::stop_source source;
    const context ctx = from_stop_token(source.get_token());
    auto [child, cancel] = with_cancel(ctx);
    const auto done = child.done();
    CHECK_FALSE(ctx.err());
    source.request_stop();
    CHECK(ctx.err() == errc::canceled);
    CHECK(child.err() == errc::canceled);
    CHECK(done.is_closed());
    const context late = from_stop_token(source.get_token());
    CHECK(late.err() == errc::canceled);
  });
}

TEST_CASE("context: a token that can't stop gives one that is never done",
          "[context][unit][CX-29]") {
  CHECK(from_stop_token({}) == context());
  std::stop_token orphan;
  context ctx;
  {
    std::stop_source source;
    orphan = source.get_token();
    ctx = from_stop_token(orphan);
  }
  CHECK_FALSE(ctx.err());
  CHECK_FALSE(from_stop_token(orphan).err());
}

TEST_CASE("context: its stop token stops when it is done, whatever the reason",
          "[context][unit][CX-30]") {
  test::run_in_virtual_time([] {
    auto [ctx, cancel] = with_cancel({});
    auto [child, cancel_child] = weft::with_timeout(ctx, 1s);
    const std::stop_token token = to_stop_token(ctx);
    const std::stop_token below = to_stop_token(child);
    CHECK(token.stop_possible());
    CHECK(to_stop_token(ctx) == token);
    int calls = 0;
    const std::stop_callback callback(below, [&, &own = child, &above = ctx] {
      ++calls;
      // No lock of the context is held: all of it may be asked and cancelled.
      CHECK(own.err() == errc::deadline_exceeded);
      CHECK_FALSE(above.err());
      CHECK(own.done().is_closed());
      cancel_child();
    });
    weft::sleep_for(2s);
    CHECK(below.stop_requested());
    CHECK(calls == 1);
    CHECK_FALSE(token.stop_requested());
    cancel();
    CHECK(token.stop_requested());
    CHECK(calls == 1);
    CHECK(to_stop_token(child).stop_requested());
    auto [done_before, cancel_before] = with_cancel({});
    cancel_before();
    CHECK(to_stop_token(done_before).stop_requested());
    CHECK_FALSE(to_stop_token(context()).stop_possible());
  });
}

TEST_CASE("context: a round trip through a token cancels the inner context, without a fiber",
          "[context][unit][CX-31]") {
  test::run_with_procs([] {
    auto [outer, cancel] = with_cancel({});
    const context inner = from_stop_token(to_stop_token(outer));
    auto [child, cancel_child] = with_cancel(inner);
    CHECK(weft::num_fibers() == 1);
    CHECK_FALSE(child.err());
    cancel();
    CHECK(inner.err() == errc::canceled);
    CHECK(child.err() == errc::canceled);
    CHECK(weft::num_fibers() == 1);
  });
}

TEST_CASE("context: what was made from a token leaves no registration behind",
          "[context][unit][CX-32]") {
  std::stop_source source;  // goes on for ever
  const auto churn = [&](int n) {
    for (int i = 0; i < n; ++i) {
      const context ctx = from_stop_token(source.get_token());
      auto [child, cancel] = with_cancel(ctx);
      if (i % 2 == 0) cancel();
    }
  };
  churn(100);
  const std::ptrdiff_t before = test::live_bytes();
  churn(50'000);
  CHECK(test::live_bytes() == before);
  source.request_stop();
}

TEST_CASE("context: requesting a stop while the last handles go does no harm",
          "[context][stress][CX-29][CX-32]") {
  test::run_with_procs([] {
    for (int round = 0; round < 500; ++round) {
      std::stop_source source;
      std::optional<context> ctx(from_stop_token(source.get_token()));
      auto [child, cancel] = with_cancel(*ctx);
      const std::stop_token token = to_stop_token(child);
      test::task stopping(round % 2 == 0 ? test::kind::thread : test::kind::fiber,
                          [&] { source.request_stop(); });
      if (round % 3 == 0) weft::yield();
      ctx.reset();
      if (round % 4 == 0) cancel();
      stopping.join();
      CHECK(child.err() == errc::canceled);
      CHECK(token.stop_requested());
    }
  });
}
