// The fibers started on one processor, by themselves: capacity, order for owner and thieves.
#include "weft/sched/spawn_deque.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "support/catch.hpp"
#include "support/seed.hpp"

using weft::detail::spawn_deque;

namespace {

std::array<int, 1000> items;

// Against a plain deque with the same operations; its ends come around many times.
template <std::uint32_t Capacity>
void compare_with_model(std::uint64_t stream) {
  spawn_deque<int, Capacity> fibers;
  std::deque<int*> model;
  test::random random(test::seed(), stream);
  std::size_t next = 0;
  std::uint32_t largest = 0;
  for (int step = 0; step < 50'000; ++step) {
    // Now mostly pushes, now mostly pops: it gets full and empty.
    const bool grows = step / 1000 % 2 == 0;
    if (random.below(4) < (grows ? 3U : 1U)) {
      int* item = &items[next++ % items.size()];
      const bool fits = model.size() < Capacity;
      REQUIRE(fibers.push(item) == fits);
      if (fits) model.push_back(item);
    } else if (random.below(2 * Capacity) != 0) {
      int* expected = model.empty() ? nullptr : model.back();
      REQUIRE(fibers.pop() == expected);
      if (expected != nullptr) model.pop_back();
    } else {
      std::array<int*, Capacity> out;
      const auto limit = static_cast<std::uint32_t>(random.below(Capacity + 1));
      const std::size_t half = model.size() - model.size() / 2;
      const std::size_t n = std::min<std::size_t>(limit, half);
      REQUIRE(fibers.take_oldest(out.data(), limit) == n);
      for (std::size_t i = 0; i < n; ++i) {
        REQUIRE(out[i] == model.front());
        model.pop_front();
      }
    }
    REQUIRE(fibers.size() == model.size());
    REQUIRE(fibers.empty() == model.empty());
    largest = std::max(largest, fibers.size());
  }
  CHECK(largest == Capacity);
}

}  // namespace

TEST_CASE("spawn_deque I1: it holds its capacity, newest first, oldest to thieves",
          "[sched][unit]") {
  compare_with_model<1>(1);
  compare_with_model<4>(2);
  compare_with_model<256>(3);
  compare_with_model<512>(4);
}
