// The pool: items are given once, and dropped after two purges.
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

using test::kind;
using test::task;

TEST_CASE("pool: get gives what was put, else a new item, else nothing",
          "[sync][unit][SY-01][SY-39]") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<weft::pool<int>>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<weft::pool<int>>);
  weft::pool<std::unique_ptr<int>> plain;
  CHECK_FALSE(plain.get().has_value());
  plain.put(std::make_unique<int>(7));
  std::optional<std::unique_ptr<int>> item = plain.get();
  REQUIRE(item.has_value());
  CHECK(**item == 7);
  CHECK_FALSE(plain.get().has_value());
  weft::pool<std::string> making([] { return std::string("new"); });
  CHECK(making.get() == "new");
  making.put("used");
  CHECK(making.get() == "used");
  CHECK(making.get() == "new");
}

TEST_CASE("pool I1: an item is never given to two takers", "[sync][unit][SY-39][SY-40][SY-47]") {
  for (const bool mixed : {false, true}) {
    test::run_with_procs([mixed] {
      weft::pool<std::unique_ptr<int>> pool([] { return std::make_unique<int>(0); });
      test::expectations expect;
      std::vector<task> tasks;
      for (int i = 0; i < 6; ++i) {
        tasks.emplace_back(mixed && i % 2 == 1 ? kind::thread : kind::fiber, [&] {
          for (int n = 0; n < 1000; ++n) {
            std::unique_ptr<int> item = *pool.get();
            expect.that(++*item == 1, "nobody else has it");
            if (n % 32 == 0) test::relax();
            --*item;
            pool.put(std::move(item));
            if (n % 100 == 0) pool.purge();
          }
        });
      }
      test::join(tasks);
      CHECK(expect.failures() == "");
    });
  }
}

TEST_CASE(
    "pool: what nobody uses goes by itself, in a runtime that is busy and in one that is idle",
    "[sync][os][SY-40][SY-41]") {
  const auto token = std::make_shared<int>(1);
  weft::pool<std::shared_ptr<int>> pool;
  weft::run([&] {
    pool.put(token);
    test::until([&] { return token.use_count() == 1; }, "the item is gone");
  });
  // Its destructor tells, from a fiber that may wait.
  struct item {
    weft::chan<weft::unit> gone;
    explicit item(weft::chan<weft::unit> c) : gone(std::move(c)) {}
    item(item&&) = default;
    item& operator=(item&&) = default;
    ~item() {
      if (gone) gone.send({});
    }
  };
  weft::run([] {
    weft::pool<item> items;
    const auto gone = weft::make_chan<weft::unit>();
    items.put(item(gone));
    items.put(item(gone));
    auto [ctx, cancel] = weft::with_timeout({}, test::patience);
    for (int i = 0; i < 2; ++i) CHECK(gone.recv(ctx).has_value());
    CHECK_FALSE(items.get().has_value());
  });
}

TEST_CASE("pool: pools may come and go while what is in them gets older", "[sync][stress][SY-40]") {
  test::run_with_procs([] {
    std::vector<task> tasks;
    for (int i = 0; i < 4; ++i) {
      tasks.emplace_back(i == 3 ? kind::thread : kind::fiber, [] {
        for (int n = 0; n < 400; ++n) {
          weft::pool<std::string> pool;
          for (int k = 0; k < 4; ++k) pool.put(std::string(100, 'x'));
          if (n % 16 == 0) test::relax();
          static_cast<void>(pool.get());
          pool.purge();
        }
      });
    }
    test::join(tasks);
  });
}

TEST_CASE("pool: items that two purges find unused are destroyed", "[sync][unit][SY-41]") {
  const auto token = std::make_shared<int>(1);
  {
    weft::pool<std::shared_ptr<int>> pool;
    for (int i = 0; i < 3; ++i) pool.put(token);
    pool.purge();
    CHECK(token.use_count() == 4);
    pool.put(*pool.get());  // used in between
    pool.purge();
    CHECK(token.use_count() == 2);
    pool.purge();
    CHECK(token.use_count() == 1);
    pool.put(token);
  }
  CHECK(token.use_count() == 1);
}
