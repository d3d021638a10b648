// Values of contexts, and shielding from cancellation.
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/context.hpp"

using namespace std::chrono_literals;
using weft::context;
using weft::with_cancel;
using weft::with_value;
using weft::without_cancel;

namespace {

const weft::context_key<std::string> user{"user"};
const weft::context_key<std::string> other_user{"user"};  // the same name is not the same key
const weft::context_key<int> depth;

}  // namespace

TEST_CASE("context: a value is found from below by its key", "[context][unit][CX-19]") {
  const context ctx = with_value({}, user, "ada");
  REQUIRE(ctx.value(user) != nullptr);
  CHECK(*ctx.value(user) == "ada");
  CHECK(ctx.value(other_user) == nullptr);
  CHECK(ctx.value(depth) == nullptr);
  CHECK(context().value(user) == nullptr);
  auto [child, cancel] = with_cancel(ctx);
  const context below = with_value(child, depth, 3);
  CHECK(below.value(user) == ctx.value(user));
  CHECK(*below.value(depth) == 3);
  CHECK(child.value(depth) == nullptr);
  CHECK(user.name() == "user");
}

TEST_CASE("context: a value is found through 10 000 levels without recursion",
          "[context][unit][CX-19]") {
  test::run_with_procs([] {
    const context top = with_value({}, user, "top");
    std::vector<weft::cancelable_context> levels;
    context at = top;
    for (int i = 0; i < 5'000; ++i) {
      levels.push_back(with_cancel(at));
      at = with_value(levels.back().ctx, depth, i);
    }
    CHECK(at.value(user) == top.value(user));
    CHECK(*at.value(depth) == 4'999);
  });
}

TEST_CASE("context: an inner value hides the outer one, below only", "[context][unit][CX-20]") {
  const context outer = with_value({}, user, "outer");
  const context inner = with_value(outer, user, "inner");
  CHECK(*inner.value(user) == "inner");
  CHECK(*outer.value(user) == "outer");
}

TEST_CASE("context: a value lives as long as a context that carries it", "[context][unit][CX-21]") {
  const weft::context_key<std::shared_ptr<int>> key;
  const auto value = std::make_shared<int>(1);
  context below;
  {
    const context ctx = with_value({}, key, value);
    auto [child, cancel] = with_cancel(ctx);
    below = with_value(child, depth, 1);
    CHECK(value.use_count() == 2);
  }
  CHECK(value.use_count() == 2);
  CHECK(**below.value(key) == 1);
  below = {};
  CHECK(value.use_count() == 1);
}

TEST_CASE("context: a value may be movable only", "[context][unit][CX-21]") {
  const weft::context_key<std::unique_ptr<int>> key;
  const context ctx = with_value({}, key, std::make_unique<int>(7));
  CHECK(**ctx.value(key) == 7);
}

TEST_CASE("context: values survive cancellation", "[context][unit][CX-23]") {
  const context ctx = with_value({}, user, "ada");
  auto [child, cancel] = with_cancel(ctx);
  cancel();
  CHECK(*child.value(user) == "ada");
  const context below = with_value(child, depth, 1);
  CHECK(below.err() == weft::errc::canceled);
  CHECK(*below.value(depth) == 1);
}

TEST_CASE("context: without_cancel passes values and nothing else", "[context][unit][CX-24]") {
  test::run_with_procs([] {
    const context top = with_value({}, user, "ada");
    auto [ctx, cancel] = weft::with_timeout(top, 1h);
    const context shielded = without_cancel(with_value(ctx, depth, 2));
    auto [below, cancel_below] = with_cancel(shielded);
    cancel();
    CHECK_FALSE(static_cast<bool>(shielded.done()));
    CHECK_FALSE(shielded.err());
    CHECK(shielded.cause() == nullptr);
    CHECK_FALSE(shielded.deadline());
    CHECK(*shielded.value(user) == "ada");
    CHECK(*shielded.value(depth) == 2);
    CHECK_FALSE(below.err());
    CHECK_FALSE(below.deadline());
    CHECK(*below.value(user) == "ada");
    cancel_below();
    CHECK(below.err() == weft::errc::canceled);
    // What can't be cancelled needs no shield.
    CHECK(without_cancel(context()) == context());
    CHECK(without_cancel(top) == top);
  });
}
