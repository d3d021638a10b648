// Cancelling: descendants, causes, races with creation, with completion and with itself.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/alloc.hpp"
#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"

using namespace std::chrono_literals;
using weft::context;
using weft::errc;
using weft::with_cancel;

namespace {

std::exception_ptr cause_named(const char* name) {
  return std::make_exception_ptr(std::runtime_error(name));
}

std::string name_of(const std::exception_ptr& cause) {
  if (cause == nullptr) return "none";
  try {
    std::rethrow_exception(cause);
  } catch (const std::system_error& e) {
    return e.code().message();
  } catch (const std::exception& e) {
    return e.what();
  }
}

bool is_done(const context& ctx) { return ctx.err() == errc::canceled && ctx.done().is_closed(); }

weft::detail::cancel_node& node_of(const context& ctx) {
  return *weft::detail::context_access::node(ctx)->source;
}

}  // namespace

TEST_CASE("context: the background is never done", "[context][unit][CX-01]") {
  const context ctx;
  CHECK_FALSE(static_cast<bool>(ctx.done()));
  CHECK_FALSE(ctx.err());
  CHECK(ctx.cause() == nullptr);
  CHECK_FALSE(ctx.deadline());
  CHECK_NOTHROW(ctx.throw_if_done());
  CHECK(ctx == context());
  CHECK(weft::background() == context());
  const std::size_t before = test::allocations();
  const context copy = ctx;  // NOLINT(performance-unnecessary-copy-initialization)
  CHECK(test::allocations() == before);
}

TEST_CASE("context: with_cancel makes one allocation", "[context][unit][CX-02]") {
  const std::size_t before = test::allocations();
  {
    auto [ctx, cancel] = with_cancel({});
    auto [child, cancel_child] = with_cancel(ctx);
    cancel();
  }
  if (test::counts_allocations) CHECK(test::allocations() - before == 2);
}

TEST_CASE("context: the done channel is made when it is asked for", "[context][unit][CX-02]") {
  auto [ctx, cancel] = with_cancel({});
  const std::size_t before = test::allocations();
  CHECK_FALSE(ctx.err());
  CHECK(ctx.cause() == nullptr);
  CHECK(test::allocations() == before);
  const auto done = ctx.done();
  if (test::counts_allocations) CHECK(test::allocations() == before + 1);
  CHECK(ctx.done() == done);
  cancel();
  CHECK(done.is_closed());
  if (test::counts_allocations) CHECK(test::allocations() == before + 1);
}

TEST_CASE("context: every call of done gives the same channel", "[context][unit][CX-02]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = with_cancel({});
    CHECK(static_cast<bool>(ctx.done()));
    CHECK(ctx.done() == ctx.done());
    auto [child, cancel_child] = with_cancel(ctx);
    CHECK_FALSE(child.done() == ctx.done());
    const auto before = ctx.done();
    cancel();
    CHECK(ctx.done() == before);
    CHECK_FALSE(before.recv());
    // Asked for only after it was cancelled.
    auto [late, cancel_late] = with_cancel({});
    cancel_late();
    CHECK(late.done().is_closed());
  });
}

TEST_CASE("context: cancel has happened for all descendants when it returns",
          "[context][unit][CX-03]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = with_cancel({});
    auto [child, cancel_child] = with_cancel(ctx);
    auto [grandchild, cancel_grandchild] = with_cancel(child);
    CHECK_FALSE(ctx.err());
    cancel();
    CHECK(ctx.err() == errc::canceled);
    CHECK(ctx.err() == std::errc::operation_canceled);
    CHECK(ctx.err().message() == "context canceled");
    CHECK(is_done(ctx));
    CHECK(is_done(child));
    CHECK(is_done(grandchild));
  });
}

TEST_CASE("context: cancelling again changes nothing, destroying the handle cancels",
          "[context][unit][CX-04]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = with_cancel({});
    cancel(cause_named("first"));
    cancel(cause_named("second"));
    cancel();
    CHECK(name_of(ctx.cause()) == "first");
    context outlives;
    {
      auto [inner, cancel_inner] = with_cancel({});
      outlives = inner;
      auto moved = std::move(cancel_inner);
      cancel_inner();  // moved from: nothing
      CHECK_FALSE(inner.err());
    }
    CHECK(is_done(outlives));
    STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<weft::cancel_func>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<weft::cancel_func>);
    STATIC_REQUIRE(std::is_invocable_v<const weft::cancel_func&>);
  });
}

TEST_CASE("context: a child's cancel touches neither parent nor siblings",
          "[context][unit][CX-05]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = with_cancel({});
    auto [child, cancel_child] = with_cancel(ctx);
    auto [sibling, cancel_sibling] = with_cancel(ctx);
    auto [grandchild, cancel_grandchild] = with_cancel(child);
    cancel_child();
    CHECK(is_done(child));
    CHECK(is_done(grandchild));
    CHECK_FALSE(ctx.err());
    CHECK_FALSE(sibling.err());
    cancel();
    CHECK(is_done(sibling));
  });
}

TEST_CASE("context I2: whoever sees one of error and closed channel sees the other",
          "[context][stress][CX-06][CX-34]") {
  test::run_with_procs([](unsigned procs) {
    test::expectations e;
    for (int round = 0; round < 200; ++round) {
      auto [ctx, cancel] = with_cancel({});
      int written = 0;  // without an atomic: a data race shows under ThreadSanitizer
      std::vector<test::task> tasks;
      for (unsigned i = 0; i < procs; ++i) {
        tasks.emplace_back(i % 2 == 0 ? test::kind::fiber : test::kind::thread, [&] {
          const auto done = ctx.done();
          while (!ctx.err()) test::relax();
          e.that(done.is_closed(), "done is closed once err is set");
          e.that(written == 1, "what came before cancel is seen");
        });
        tasks.emplace_back(test::kind::fiber, [&] {
          static_cast<void>(ctx.done().recv());
          e.that(ctx.err() == errc::canceled, "err is set once done is closed");
          e.that(ctx.cause() != nullptr, "and so is the cause");
          e.that(written == 1, "what came before cancel is seen");
        });
      }
      if (round % 2 == 0) weft::yield();
      written = 1;
      cancel();
      test::join(tasks);
    }
    CHECK(e.failures() == "");
  });
}

TEST_CASE("context: error and cause never change", "[context][unit][CX-07][CX-15]") {
  auto [ctx, cancel] = with_cancel({});
  auto [child, cancel_child] = with_cancel(ctx);
  cancel_child(cause_named("child"));
  const std::exception_ptr first = child.cause();
  cancel(cause_named("parent"));
  cancel_child(cause_named("again"));
  CHECK(child.cause() == first);
  CHECK(child.cause() == child.cause());
  CHECK(child.err() == errc::canceled);
  CHECK(ctx.cause() == ctx.cause());
}

TEST_CASE("context: the cause is what cancel was given, or the plain error",
          "[context][unit][CX-15][CX-16]") {
  auto [ctx, cancel] = with_cancel({});
  CHECK(ctx.cause() == nullptr);
  const std::exception_ptr cause = cause_named("reason");
  cancel(cause);
  CHECK(ctx.err() == errc::canceled);
  CHECK(ctx.err() == std::errc::operation_canceled);
  CHECK(ctx.cause() == cause);
  auto [plain, cancel_plain] = with_cancel({});
  cancel_plain();
  REQUIRE(plain.cause() != nullptr);
  try {
    std::rethrow_exception(plain.cause());
  } catch (const std::system_error& e) {
    CHECK(e.code() == plain.err());
  }
  auto [null, cancel_null] = with_cancel({});
  cancel_null(nullptr);
  CHECK(null.cause() == plain.cause());
}

TEST_CASE("context: a descendant has the cause of the first cancellation on its way up",
          "[context][unit][CX-17]") {
  {
    auto [ctx, cancel] = with_cancel({});
    auto [child, cancel_child] = with_cancel(ctx);
    cancel(cause_named("c1"));
    cancel_child(cause_named("c2"));
    CHECK(name_of(ctx.cause()) == "c1");
    CHECK(child.cause() == ctx.cause());
  }
  auto [ctx, cancel] = with_cancel({});
  auto [child, cancel_child] = with_cancel(ctx);
  auto [grandchild, cancel_grandchild] = with_cancel(child);
  cancel_child(cause_named("c2"));
  cancel(cause_named("c1"));
  CHECK(name_of(ctx.cause()) == "c1");
  CHECK(name_of(child.cause()) == "c2");
  CHECK(name_of(grandchild.cause()) == "c2");
}

TEST_CASE("context: throw_if_done throws the error, not the cause", "[context][unit][CX-18]") {
  auto [ctx, cancel] = with_cancel({});
  CHECK_NOTHROW(ctx.throw_if_done());
  cancel(cause_named("reason"));
  try {
    ctx.throw_if_done();
    FAIL("it did not throw");
  } catch (const std::system_error& e) {
    CHECK(e.code() == errc::canceled);
  }
}

TEST_CASE("context: the child of a cancelled parent is cancelled at birth",
          "[context][unit][CX-13]") {
  auto [ctx, cancel] = with_cancel({});
  cancel(cause_named("c1"));
  auto [child, cancel_child] = with_cancel(ctx);
  CHECK(is_done(child));
  CHECK(child.cause() == ctx.cause());
  auto [grandchild, cancel_grandchild] = with_cancel(child);
  CHECK(is_done(grandchild));
  CHECK(grandchild.cause() == ctx.cause());
  CHECK(node_of(ctx).children_for_testing() == 0);
}

TEST_CASE("context I1: a parent cancelled while children are made cancels all of them",
          "[context][stress][CX-14]") {
  test::run_with_procs([](unsigned procs) {
    test::expectations e;
    for (int round = 0; round < 200; ++round) {
      auto [ctx, cancel] = with_cancel({});
      const std::exception_ptr cause = cause_named("c");
      std::vector<test::task> tasks;
      for (unsigned i = 0; i < procs; ++i) {
        tasks.emplace_back(i % 2 == 0 ? test::kind::thread : test::kind::fiber, [&, i] {
          for (bool last = false; !last;) {
            last = static_cast<bool>(ctx.err());
            auto [child, cancel_child] =
                i % 2 == 0 ? with_cancel(ctx) : weft::with_timeout(ctx, 1h);
            if (!last) test::relax();
            if (!last && !ctx.err()) continue;
            static_cast<void>(child.done().recv());
            e.that(child.err() == errc::canceled, "the child is cancelled");
            e.that(child.cause() == cause, "with the parent's cause");
          }
        });
      }
      for (int i = 0; i < round % 5; ++i) weft::yield();
      cancel(cause);
      test::join(tasks);
      e.that(node_of(ctx).children_for_testing() == 0, "no child is left in the list");
    }
    CHECK(e.failures() == "");
  });
}

TEST_CASE("context I3: every cancel returns with all descendants cancelled, whoever did it",
          "[context][stress][CX-03][CX-34]") {
  test::run_with_procs([](unsigned procs) {
    test::expectations e;
    test::random random(test::seed(), 5);
    for (int round = 0; round < 100; ++round) {
      constexpr std::size_t n = 60;
      std::vector<weft::cancelable_context> tree;
      std::vector<std::vector<std::size_t>> below(n);
      tree.push_back(with_cancel({}));
      for (std::size_t i = 1; i < n; ++i) {
        const std::size_t parent = random.below(i);
        tree.push_back(with_cancel(tree[parent].ctx));
        below[parent].push_back(i);
      }
      const auto all_below = [&](auto& self, std::size_t at) -> bool {
        if (!is_done(tree[at].ctx)) return false;
        for (const std::size_t child : below[at])
          if (!self(self, child)) return false;
        return true;
      };
      std::vector<test::task> tasks;
      for (unsigned i = 0; i < 2 * procs; ++i) {
        const std::size_t at = i < 2 ? 0 : random.below(n);
        tasks.emplace_back(i % 2 == 0 ? test::kind::thread : test::kind::fiber, [&, at] {
          tree[at].cancel();
          e.that(all_below(all_below, at), "all below are done when cancel returns");
        });
      }
      test::join(tasks);
    }
    CHECK(e.failures() == "");
  });
}

TEST_CASE("context I4: a cancellation meets each node below once, and none cancelled before",
          "[context][unit][CX-05][CX-33]") {
  test::random random(test::seed(), 11);
  for (int round = 0; round < 50; ++round) {
    constexpr std::size_t n = 200;
    std::vector<weft::cancelable_context> tree;
    std::vector<std::size_t> above{0};
    tree.push_back(with_cancel({}));
    for (std::size_t i = 1; i < n; ++i) {
      above.push_back(random.below(i));
      const context& parent = tree[above[i]].ctx;
      // Nodes that only carry a value are no children.
      static const weft::context_key<int> key;
      tree.push_back(with_cancel(i % 3 == 0 ? weft::with_value(parent, key, 1) : parent));
    }
    // Some are cancelled first, each with all that is below it: those have left the tree.
    for (int i = 0; i < round % 5; ++i) tree[1 + random.below(n - 1)].cancel();
    std::size_t left = 0;
    for (const auto& c : tree) left += c.ctx.err() ? 0 : 1;
    CHECK(node_of(tree[0].ctx).cancel(errc::canceled, nullptr) == left);
    CHECK(node_of(tree[0].ctx).cancel(errc::canceled, nullptr) == 1);
    for (const auto& c : tree) CHECK(is_done(c.ctx));
  }
}

TEST_CASE("context: fibers woken by a cancellation may cancel in the same tree",
          "[context][unit][CX-34]") {
  test::run_with_procs([] {
    constexpr int n = 50;
    std::vector<weft::cancelable_context> chain;
    chain.push_back(with_cancel({}));
    for (int i = 1; i < n; ++i) chain.push_back(with_cancel(chain.back().ctx));
    std::vector<test::task> tasks;
    for (int i = 0; i < n; ++i) {
      tasks.emplace_back(test::kind::fiber, [&, i] {
        static_cast<void>(chain[static_cast<std::size_t>(i)].ctx.done().recv());
        for (const auto& c : chain) c.cancel();
      });
    }
    chain[n / 2].cancel();
    test::join(tasks);
    CHECK(is_done(chain.front().ctx));
    CHECK(is_done(chain.back().ctx));
  });
}

TEST_CASE("context: trees of 10 000 levels are made, cancelled and destroyed without recursion",
          "[context][unit][CX-19]") {
  // On the stack of a fiber, which is too small for recursion.
  test::run_with_procs([] {
    constexpr int n = 10'000;
    std::vector<weft::cancelable_context> chain;
    chain.push_back(with_cancel({}));
    for (int i = 1; i < n; ++i) chain.push_back(with_cancel(chain.back().ctx));
    context last = chain.back().ctx;
    chain.front().cancel(cause_named("root"));
    CHECK(is_done(last));
    CHECK(name_of(last.cause()) == "root");
    chain.clear();
    last = {};
    // Never cancelled from above: a chain of handles that ends at once.
    const weft::context_key<int> key;
    context deep;
    for (int i = 0; i < n; ++i) deep = weft::with_value(deep, key, i);
    deep = {};
  });
}

TEST_CASE("context: 10 000 children are cancelled with their parent", "[context][unit][CX-05]") {
  test::run_with_procs([] {
    constexpr int n = 10'000;
    auto [ctx, cancel] = with_cancel({});
    std::vector<weft::cancelable_context> children;
    for (int i = 0; i < n; ++i) children.push_back(with_cancel(ctx));
    CHECK(node_of(ctx).children_for_testing() == n);
    cancel();
    std::size_t done = 0;
    for (const auto& c : children) done += is_done(c.ctx) ? 1 : 0;
    CHECK(done == n);
    CHECK(node_of(ctx).children_for_testing() == 0);
  });
}

TEST_CASE("context: a cancelled child leaves its parent", "[context][unit][CX-33]") {
  auto [ctx, cancel] = with_cancel({});
  const auto make_and_cancel = [&](int n) {
    for (int i = 0; i < n; ++i) {
      auto [child, cancel_child] = with_cancel(ctx);
      if (i % 2 == 0) cancel_child();
    }
  };
  make_and_cancel(1'000);
  const std::ptrdiff_t before = test::live_bytes();
  make_and_cancel(100'000);
  CHECK(test::live_bytes() == before);
  CHECK(node_of(ctx).children_for_testing() == 0);
  CHECK_FALSE(ctx.err());
}

TEST_CASE("context: dropping a plain handle cancels nothing", "[context][unit][CX-35]") {
  std::optional<weft::cancelable_context> parent(with_cancel({}));
  auto [child, cancel_child] = with_cancel(parent->ctx);
  const weft::cancel_func cancel_parent = std::move(parent->cancel);
  parent.reset();  // the handle of the context
  CHECK_FALSE(child.err());
  cancel_parent();
  CHECK(is_done(child));
}

TEST_CASE("context: every call that may block fails at once with a context that is done",
          "[context][unit][CX-22]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = with_cancel({});
    cancel();
    const auto c = weft::make_chan<std::unique_ptr<int>>(1);
    std::error_code ec;
    auto value = std::make_unique<int>(1);
    CHECK_FALSE(c.send(ctx, std::move(value), ec));  // although there is room
    CHECK(ec == errc::canceled);
    CHECK(value != nullptr);
    CHECK_THROWS_AS(c.send(ctx, std::move(value)), std::system_error);
    CHECK(c.size() == 0);
    c.send(std::move(value));
    CHECK_FALSE(c.recv(ctx, ec));  // although there is a value
    CHECK(ec == errc::canceled);
    CHECK_THROWS_AS(c.recv(ctx), std::system_error);
    CHECK(c.size() == 1);
  });
}

TEST_CASE("context: a blocked call ends when its context is cancelled, and has done nothing",
          "[context][unit][CX-22]") {
  test::run_with_procs([] {
    for (const test::kind k : test::both_kinds) {
      auto [ctx, cancel] = with_cancel({});
      const auto c = weft::make_chan<int>();
      test::expectations e;
      test::task receiver(k, [&] {
        std::error_code ec;
        e.that(!c.recv(ctx, ec), "nothing is received");
        e.that(ec == errc::canceled, "recv tells the context's error");
      });
      receiver.until_blocked();
      cancel();
      receiver.join();
      auto [other, cancel_other] = with_cancel({});
      test::task sender(k, [&] {
        std::error_code ec;
        e.that(!c.send(other, 1, ec), "nothing is sent");
        e.that(ec == errc::canceled, "send tells the context's error");
      });
      sender.until_blocked();
      cancel_other();
      sender.join();
      CHECK_FALSE(c.try_recv());
      CHECK(e.failures() == "");
    }
  });
}

TEST_CASE("context: a cancellation that races with completion loses nothing",
          "[context][stress][CX-22]") {
  test::run_with_procs([] {
    long received = 0;
    long sent = 0;
    for (int round = 0; round < 500; ++round) {
      auto [ctx, cancel] = with_cancel({});
      const auto c = weft::make_chan<int>();
      auto sender = weft::spawn([&] {
        std::error_code ec;
        return c.send(ctx, round, ec) ? 1 : 0;
      });
      auto canceller = weft::spawn([&] { cancel(); });
      std::error_code ec;
      if (c.recv(ctx, ec)) ++received;
      sent += sender.join();
      canceller.join();
    }
    CHECK(sent == received);
  });
}

TEST_CASE("context: select has a case for it", "[context][unit][SE-27]") {
  test::run_with_procs([] {
    const auto c = weft::make_chan<int>();
    auto [ctx, cancel] = with_cancel({});
    CHECK(weft::select(weft::recv(c), weft::done(ctx), weft::otherwise()) == 2);
    test::task selecting(test::kind::fiber, [&] {
      if (weft::select(weft::recv(c), weft::done(ctx)) != 1) throw std::runtime_error("not done");
    });
    selecting.until_blocked("select");
    cancel();
    selecting.join();
    CHECK(weft::select(weft::recv(c), weft::done(ctx), weft::otherwise()) == 1);
    CHECK(weft::select(weft::done(context()), weft::otherwise()) == 1);
  });
}
