// The local run queue by itself: its capacity, the order of its items, and what a thief gets.
#include "weft/sched/run_queue.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "support/catch.hpp"
#include "support/seed.hpp"

using weft::detail::run_queue;

namespace {

// More than any queue here holds.
std::array<int, 1000> items;

template <std::uint32_t Capacity>
using queue_of = run_queue<int, Capacity>;

template <std::uint32_t Capacity>
void fill_and_drain() {
  queue_of<Capacity> queue;
  // Each time from another place in the ring.
  for (std::uint32_t round = 0; round < 3 * Capacity; ++round) {
    for (std::uint32_t i = 0; i < Capacity; ++i) {
      REQUIRE(queue.push(&items[i]));
      REQUIRE(queue.size() == i + 1);
    }
    REQUIRE_FALSE(queue.push(&items[Capacity]));
    REQUIRE(queue.size() == Capacity);
    REQUIRE(queue.pop() == &items[0]);
    REQUIRE(queue.push(&items[Capacity]));
    REQUIRE_FALSE(queue.push(&items[0]));
    for (std::uint32_t i = 1; i <= Capacity; ++i) REQUIRE(queue.pop() == &items[i]);
    REQUIRE(queue.empty());
    REQUIRE(queue.pop() == nullptr);
    REQUIRE(queue.push(&items[0]));
    REQUIRE(queue.pop() == &items[0]);
  }
}

// Against a plain queue with the same operations.
template <std::uint32_t Capacity>
void compare_with_model(std::uint64_t stream) {
  queue_of<Capacity> queue;
  std::deque<int*> model;
  test::random random(test::seed(), stream);
  std::size_t next = 0;
  std::uint32_t largest = 0;
  for (int step = 0; step < 20'000; ++step) {
    // Now mostly pushes, now mostly pops: it gets full and empty.
    const bool grows = step / 1000 % 2 == 0;
    if (random.below(4) < (grows ? 3U : 1U)) {
      int* item = &items[next++ % items.size()];
      const bool fits = model.size() < Capacity;
      REQUIRE(queue.push(item) == fits);
      if (fits) model.push_back(item);
    } else if (random.below(2 * Capacity) != 0) {
      int* expected = model.empty() ? nullptr : model.front();
      REQUIRE(queue.pop() == expected);
      if (expected != nullptr) model.pop_front();
    } else {
      std::array<int*, Capacity> out;
      const auto limit = static_cast<std::uint32_t>(random.below(Capacity + 1));
      const std::size_t half = model.size() - model.size() / 2;
      const std::size_t n = std::min<std::size_t>(limit, half);
      REQUIRE(queue.steal(out.data(), limit) == n);
      for (std::size_t i = 0; i < n; ++i) {
        REQUIRE(out[i] == model.front());
        model.pop_front();
      }
    }
    REQUIRE(queue.size() == model.size());
    REQUIRE(queue.empty() == model.empty());
    largest = std::max(largest, queue.size());
  }
  CHECK(largest == Capacity);
}

}  // namespace

TEST_CASE("run_queue I1: it never holds more than its capacity", "[sched][unit]") {
  fill_and_drain<1>();
  fill_and_drain<4>();
  fill_and_drain<256>();
}

TEST_CASE("run_queue I1: it gives what was pushed, the oldest first, through any operations",
          "[sched][unit]") {
  compare_with_model<4>(1);
  compare_with_model<256>(2);
}

TEST_CASE("run_queue: a thief gets the older half, and the only one", "[sched][unit]") {
  run_queue<int, 8> queue;
  std::array<int*, 8> out{};
  CHECK(queue.steal(out.data(), 8) == 0);
  for (std::size_t i = 0; i < 7; ++i) REQUIRE(queue.push(&items[i]));
  CHECK(queue.steal(out.data(), 2) == 2);
  CHECK(out[1] == &items[1]);
  CHECK(queue.steal(out.data(), 8) == 3);
  CHECK(out[0] == &items[2]);
  CHECK(queue.steal(out.data(), 8) == 1);
  CHECK(queue.steal(out.data(), 8) == 1);
  CHECK(out[0] == &items[6]);
  CHECK(queue.empty());
}
