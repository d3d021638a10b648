// The graph of the order in which locks are taken, against a model that looks at every way.
#include "weft/sync/lock_order.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"

using weft::detail::lock_order;
using id = lock_order::lock_id;

namespace {

lock_order::step step(id held, id wanted) { return {held, wanted, 1, {}, {}}; }

std::vector<std::pair<id, id>> noted(lock_order& order, id held, id wanted) {
  std::vector<std::pair<id, id>> steps;
  for (const lock_order::step& s : order.note(step(held, wanted)))
    steps.emplace_back(s.held, s.wanted);
  return steps;
}

using ways = std::vector<std::pair<id, id>>;

}  // namespace

TEST_CASE("lock_order I2: an inversion is told when its last edge comes, and once",
          "[sync][unit][SY-52]") {
  lock_order order;
  CHECK(noted(order, 1, 2).empty());
  CHECK(noted(order, 2, 3).empty());
  CHECK(noted(order, 1, 3).empty());
  CHECK(noted(order, 1, 2).empty());
  CHECK(noted(order, 3, 1) == ways{{1, 3}});
  CHECK(noted(order, 3, 1).empty());
  CHECK(noted(order, 3, 2) == ways{{2, 3}});
  CHECK(noted(order, 3, 4).empty());
  CHECK(noted(order, 4, 5).empty());
  CHECK(noted(order, 5, 2) == ways{{2, 3}, {3, 4}, {4, 5}});
}

TEST_CASE("lock_order: a lock that dies leaves nothing behind", "[sync][unit][SY-52]") {
  lock_order order;
  CHECK(noted(order, 1, 2).empty());
  CHECK(noted(order, 2, 3).empty());
  order.forget(2);
  order.forget(7);  // never seen
  CHECK(noted(order, 3, 1).empty());
  order.forget(1);
  order.forget(3);
  CHECK(order.size() == 0);
}

TEST_CASE("lock_order I1: it agrees with a search of all ways, whatever comes and goes",
          "[sync][unit][SY-52]") {
  constexpr id n = 12;
  test::random random(test::seed(), 1);
  lock_order order;
  std::set<std::pair<id, id>> edges;
  const auto leads = [&](id from, id to) {
    std::set<id> seen{from};
    for (bool grows = true; grows;) {
      grows = false;
      for (const auto& [a, b] : edges)
        if (seen.contains(a) && seen.insert(b).second) grows = true;
    }
    return seen.contains(to);
  };
  for (int i = 0; i < 5'000; ++i) {
    if (random.below(8) == 0) {
      const id gone = 1 + random.below(n);
      order.forget(gone);
      std::erase_if(edges, [=](const auto& e) { return e.first == gone || e.second == gone; });
    } else {
      const id a = 1 + random.below(n);
      const id b = 1 + random.below(n);
      if (a == b) continue;
      const bool is_new = !edges.contains({a, b});
      const bool closes = is_new && leads(b, a);
      const ways told = noted(order, a, b);
      REQUIRE(told.empty() == !closes);
      if (closes) {
        CHECK(told.front().first == b);
        CHECK(told.back().second == a);
      }
      edges.insert({a, b});
    }
    REQUIRE(order.is_sound_for_testing());
  }
}
