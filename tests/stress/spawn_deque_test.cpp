// Stress of the deque of started fibers: an owner and thieves take each item exactly once, with
// what was written to it before it was pushed.
#include "weft/sched/spawn_deque.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/process.hpp"
#include "support/record.hpp"
#include "support/seed.hpp"

using weft::detail::spawn_deque;

namespace {

struct item {
  std::uint64_t number = 0;  // plain: the deque makes it visible to the taker
  std::atomic<std::uint32_t> taken{0};
};

template <std::uint32_t Capacity>
void race(std::size_t thieves, std::size_t count) {
  spawn_deque<item, Capacity> fibers;
  std::vector<item> items(count);
  test::expectations e;
  std::atomic<std::size_t> taken{0};
  std::atomic<bool> ends{false};
  const auto take = [&](item* it) {
    it->taken.fetch_add(1, std::memory_order_relaxed);
    e.that(it == &items[it->number], "what was written before the push is seen");
    taken.fetch_add(1, std::memory_order_relaxed);
  };
  const std::uint64_t seed = test::seed();
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < thieves; ++t) {
    threads.emplace_back([&, t] {
      test::random random(seed, t);
      std::array<item*, Capacity> out;
      while (!ends.load(std::memory_order_acquire)) {
        const auto limit = static_cast<std::uint32_t>(1 + random.below(Capacity));
        const std::uint32_t n = fibers.take_oldest(out.data(), limit);
        for (std::uint32_t i = 0; i < n; ++i) take(out[i]);
        if (n == 0 && random.below(64) == 0) std::this_thread::yield();
      }
    });
  }
  test::random random(seed, thieves);
  std::size_t pushed = 0;
  while (pushed < count) {
    // Mostly few at a time: the owner and the thieves meet at the last item, and what a thief has
    // just read is popped and replaced.
    for (std::uint64_t n = 1 + random.below(random.below(8) == 0 ? 2 * Capacity : 2);
         n != 0 && pushed < count; --n) {
      items[pushed].number = pushed;
      if (!fibers.push(&items[pushed])) break;
      ++pushed;
    }
    for (std::uint64_t n = random.below(4); n != 0; --n) {
      if (item* it = fibers.pop()) take(it);
    }
  }
  while (item* it = fibers.pop()) take(it);
  ends.store(true, std::memory_order_release);
  for (std::thread& t : threads) t.join();

  CHECK(taken.load() == count);
  std::size_t wrong = 0;
  for (const item& it : items) wrong += it.taken.load(std::memory_order_relaxed) != 1 ? 1 : 0;
  CHECK(wrong == 0);
  CHECK(e.failures() == "");
  CHECK(fibers.empty());
}

constexpr std::size_t many = test::sanitized ? 50'000 : 1'000'000;

}  // namespace

TEST_CASE("spawn_deque I2: an owner and thieves take each item exactly once", "[sched][stress]") {
  race<1>(1, many);
  race<4>(2, many);
  race<256>(3, many);
}
