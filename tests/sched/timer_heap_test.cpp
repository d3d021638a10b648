// The timer heap by itself: order, places, fire functions, disarming from other threads.
#include "weft/sched/timer_heap.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "support/alloc.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"

using weft::detail::disarm;
using weft::detail::never;
using weft::detail::timer_heap;
using weft::detail::timer_node;

namespace {

// Notes that it has fired, and is armed again as often as it is told.
struct noting_node : timer_node {
  explicit noting_node(std::vector<int>& to, int n) : fired(&to), number(n) { fire = on_timer; }

  static std::int64_t on_timer(timer_node& node, std::int64_t now) noexcept {
    auto& self = static_cast<noting_node&>(node);
    self.fired->push_back(self.number);
    return self.repeats-- > 0 ? now + self.period : never;
  }

  std::vector<int>* fired;
  int number;
  int repeats = 0;
  std::int64_t period = 1;
};

struct noting_nodes {
  explicit noting_nodes(int n) {
    for (int i = 0; i < n; ++i) nodes.push_back(std::make_unique<noting_node>(fired, i));
  }
  noting_node& operator[](int i) { return *nodes[static_cast<std::size_t>(i)]; }

  std::vector<int> fired;
  std::vector<std::unique_ptr<noting_node>> nodes;
};

std::vector<int> first_numbers(int n) {
  std::vector<int> numbers;
  for (int i = 0; i < n; ++i) numbers.push_back(i);
  return numbers;
}

}  // namespace

TEST_CASE("timer_heap I1: a node knows its place through inserts, disarms and firings",
          "[sched][unit]") {
  constexpr int n = 500;
  noting_nodes nodes(n);
  timer_heap heap;
  test::random random(test::seed(), 1);
  std::size_t armed = 0;
  for (int round = 0; round < 5000; ++round) {
    noting_node& node = nodes[static_cast<int>(random.below(n))];
    if (node.index == timer_node::none) {
      heap.insert(node, static_cast<std::int64_t>(random.below(1000)));
      ++armed;
    } else if (random.below(3) != 0) {
      REQUIRE(disarm(node));
      --armed;
    } else {
      armed -= heap.run_due(heap.next_due());
    }
    if (round % 50 == 0) REQUIRE(heap.is_sound_for_testing());
    REQUIRE(heap.size() == armed);
  }
}

TEST_CASE("timer_heap I2: timers fire in the order of their due times", "[sched][unit][TI-23]") {
  constexpr int n = 1000;
  noting_nodes nodes(n);
  timer_heap heap;
  std::vector<std::pair<std::int64_t, int>> due;
  test::random random(test::seed(), 2);
  for (int i = 0; i < n; ++i) {
    due.emplace_back(static_cast<std::int64_t>(random.below(400)), i);
    heap.insert(nodes[i], due.back().first);
  }
  REQUIRE(heap.is_sound_for_testing());
  std::sort(due.begin(), due.end());
  CHECK(heap.next_due() == due.front().first);
  CHECK(heap.run_due(-1) == 0);
  std::size_t fired = 0;
  for (std::int64_t now = 0; now < 400; now += 7) {
    fired += heap.run_due(now);
    CHECK(heap.next_due() > now);
  }
  fired += heap.run_due(400);
  CHECK(fired == n);
  CHECK(heap.next_due() == never);
  for (std::size_t i = 0; i < due.size(); ++i) REQUIRE(nodes.fired[i] == due[i].second);
}

TEST_CASE("timer_heap I3: timers that are due together fire in the order of their arming",
          "[sched][unit]") {
  constexpr int n = 300;
  noting_nodes nodes(n);
  timer_heap heap;
  for (int i = 0; i < n; ++i) heap.insert(nodes[i], 5);
  CHECK(heap.run_due(5) == n);
  CHECK(nodes.fired == first_numbers(n));
}

TEST_CASE("timer_heap: insert tells whether the node is the first to be due", "[sched][unit]") {
  noting_nodes nodes(4);
  timer_heap heap;
  CHECK(heap.insert(nodes[0], 10));
  CHECK_FALSE(heap.insert(nodes[1], 20));
  CHECK_FALSE(heap.insert(nodes[2], 10));
  CHECK(heap.insert(nodes[3], 9));
  CHECK(heap.next_due() == 9);
  CHECK(disarm(nodes[3]));
  CHECK(heap.next_due() == 10);
}

TEST_CASE("timer_heap: disarm is true once for a node that has not fired", "[sched][unit]") {
  noting_nodes nodes(2);
  timer_heap heap;
  CHECK_FALSE(disarm(nodes[0]));
  heap.insert(nodes[0], 1);
  heap.insert(nodes[1], 1);
  CHECK(disarm(nodes[0]));
  CHECK_FALSE(disarm(nodes[0]));
  CHECK(heap.run_due(1) == 1);
  CHECK_FALSE(disarm(nodes[1]));
  CHECK(nodes.fired == std::vector{1});
  CHECK(heap.size() == 0);
}

TEST_CASE("timer_heap: a fire function arms its node again by what it returns", "[sched][unit]") {
  noting_nodes nodes(2);
  timer_heap heap;
  nodes[0].repeats = 2;
  nodes[0].period = 10;
  heap.insert(nodes[0], 10);
  heap.insert(nodes[1], 15);
  for (std::int64_t now = 10; now <= 40; now += 5) heap.run_due(now);
  CHECK(nodes.fired == std::vector{0, 1, 0, 0});
  CHECK_FALSE(disarm(nodes[0]));
  CHECK(heap.next_due() == never);
}

TEST_CASE("timer_heap: a node that its fire function has let go of is not touched again",
          "[sched][unit]") {
  struct dying_node : timer_node {
    static std::int64_t on_timer(timer_node& node, std::int64_t) noexcept {
      node.let_go();
      delete static_cast<dying_node*>(&node);
      return gone;
    }
  };
  timer_heap heap;
  for (int i = 0; i < 100; ++i) {
    auto* node = new dying_node;
    node->fire = dying_node::on_timer;
    heap.insert(*node, i % 10);
  }
  CHECK(heap.run_due(4) == 50);
  CHECK(heap.is_sound_for_testing());
  CHECK(heap.run_due(10) == 50);
  CHECK(heap.size() == 0);
}

TEST_CASE("timer_heap: take_all moves the nodes and keeps the order of equal due times",
          "[sched][unit]") {
  constexpr int n = 200;
  noting_nodes nodes(n);
  timer_heap from;
  timer_heap to;
  for (int i = 0; i < n / 2; ++i) to.insert(nodes[i], 7);
  for (int i = n / 2; i < n; ++i) from.insert(nodes[i], 7);
  to.take_all(from);
  CHECK(from.size() == 0);
  CHECK(from.next_due() == never);
  CHECK(to.size() == n);
  REQUIRE(to.is_sound_for_testing());
  CHECK(disarm(nodes[n - 1]));
  CHECK(to.run_due(7) == n - 1);
  CHECK(nodes.fired == first_numbers(n - 1));
}

TEST_CASE("timer_heap: where memory is refused nothing changes", "[sched][unit]") {
  if (!test::counts_allocations) return;
  constexpr int n = 100;
  noting_nodes nodes(n + 1);
  timer_heap heap;
  timer_heap other;
  other.insert(nodes[n], 3);
  int armed = 0;
  {
    const test::refuse_allocations refuse(1);
    const auto insert_all = [&] {
      for (; armed < n; ++armed) heap.insert(nodes[armed], armed);
    };
    CHECK_THROWS_AS(insert_all(), std::bad_alloc);
    CHECK_THROWS_AS(heap.take_all(other), std::bad_alloc);
  }
  CHECK(heap.size() == static_cast<std::size_t>(armed));
  CHECK_FALSE(disarm(nodes[armed]));
  CHECK(heap.is_sound_for_testing());
  CHECK(other.is_sound_for_testing());
  CHECK(disarm(nodes[n]));
}

TEST_CASE("timer_heap: an ending heap lets its nodes go and tells those that ask for it",
          "[sched][unit]") {
  struct owned_node : timer_node {
    explicit owned_node(int& n) : ended(&n) {
      fire = [](timer_node&, std::int64_t) noexcept { return never; };
      abandon = [](timer_node& node) noexcept {
        auto* self = static_cast<owned_node*>(&node);
        ++*self->ended;
        delete self;
      };
    }
    int* ended;
  };
  int ended = 0;
  noting_nodes nodes(3);
  {
    timer_heap heap;
    for (int i = 0; i < 3; ++i) {
      heap.insert(nodes[i], i);
      heap.insert(*new owned_node(ended), i);
    }
  }
  CHECK(ended == 3);
  CHECK(nodes.fired.empty());
  for (int i = 0; i < 3; ++i) CHECK_FALSE(disarm(nodes[i]));
}

TEST_CASE("timer_heap: a disarmed node's fire function neither runs nor will", "[sched][stress]") {
  // The node dies right after disarm: a late firing is a use after free.
  struct counting_node : timer_node {
    explicit counting_node(std::atomic<int>& n) : fired(&n) {
      fire = [](timer_node& node, std::int64_t) noexcept {
        static_cast<counting_node&>(node).fired->fetch_add(1);
        return never;
      };
    }
    std::atomic<int>* fired;
  };
  constexpr int rounds = 20000;
  timer_heap heaps[2];
  std::atomic<bool> ends{false};
  std::atomic<int> fired{0};
  std::thread firing([&] {
    while (!ends.load()) {
      for (timer_heap& heap : heaps) heap.run_due(50);
      heaps[0].take_all(heaps[1]);
    }
  });
  int stopped = 0;
  test::random random(test::seed(), 3);
  for (int i = 0; i < rounds; ++i) {
    auto node = std::make_unique<counting_node>(fired);
    heaps[i % 2].insert(*node, static_cast<std::int64_t>(random.below(100)));
    if (disarm(*node)) ++stopped;
  }
  ends.store(true);
  firing.join();
  CHECK(fired.load() + stopped == rounds);
  CHECK(heaps[0].size() + heaps[1].size() == 0);
}
