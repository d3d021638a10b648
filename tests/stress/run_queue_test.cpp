// Stress of the run queue: an owner and thieves take each item exactly once, with what was written
// to it before it was pushed.
#include "weft/sched/run_queue.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/seed.hpp"

using weft::detail::run_queue;

namespace {

struct item {
  std::uint64_t number = 0;  // plain: the queue makes it visible to the taker
  std::atomic<std::uint32_t> taken{0};
};

// What one thread takes. The head only moves on, so its numbers grow.
class taker {
 public:
  explicit taker(test::expectations& e) : e_(e) {}

  void take(item* it) {
    it->taken.fetch_add(1, std::memory_order_relaxed);
    e_.that(count_ == 0 || it->number > last_, "a taker gets older items first");
    last_ = it->number;
    ++count_;
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  test::expectations& e_;
  std::uint64_t last_ = 0;
  std::size_t count_ = 0;
};

template <std::uint32_t Capacity>
void race(std::size_t thieves, std::size_t count) {
  run_queue<item, Capacity> queue;
  std::vector<item> items(count);
  test::expectations e;
  std::vector<taker> takers(thieves + 1, taker(e));
  std::atomic<bool> ends{false};
  const std::uint64_t seed = test::seed();
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < thieves; ++t) {
    threads.emplace_back([&, t] {
      test::random random(seed, t);
      std::array<item*, Capacity> out;
      while (!ends.load(std::memory_order_acquire)) {
        const auto limit = static_cast<std::uint32_t>(1 + random.below(Capacity));
        const std::uint32_t n = queue.steal(out.data(), limit);
        for (std::uint32_t i = 0; i < n; ++i) takers[t].take(out[i]);
        if (n == 0 && random.below(64) == 0) std::this_thread::yield();
      }
    });
  }
  test::random random(seed, thieves);
  taker& owner = takers.back();
  std::size_t pushed = 0;
  while (pushed < count) {
    // Mostly few at a time: the owner and the thieves meet at the last item.
    for (std::uint64_t n = 1 + random.below(random.below(8) == 0 ? 2 * Capacity : 2);
         n != 0 && pushed < count; --n) {
      items[pushed].number = pushed;
      if (!queue.push(&items[pushed])) break;
      ++pushed;
    }
    for (std::uint64_t n = random.below(4); n != 0; --n) {
      if (item* it = queue.pop()) owner.take(it);
    }
  }
  while (item* it = queue.pop()) owner.take(it);
  ends.store(true, std::memory_order_release);
  for (std::thread& t : threads) t.join();

  std::size_t taken = 0;
  for (const taker& t : takers) taken += t.count();
  CHECK(taken == count);
  std::size_t wrong = 0;
  for (const item& it : items) wrong += it.taken.load(std::memory_order_relaxed) != 1 ? 1 : 0;
  CHECK(wrong == 0);
  CHECK(e.failures() == "");
  CHECK(queue.empty());
}

constexpr std::size_t many = test::sanitized ? 50'000 : 1'000'000;

}  // namespace

TEST_CASE("run_queue I2: an owner and thieves take each item exactly once", "[sched][stress]") {
  race<4>(2, many);
  race<4>(3, many);
  race<256>(3, many);
}
