// A race of one owner and several thieves over a queue of a processor.
#pragma once

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

namespace test {

struct queue_item {
  std::uint64_t number = 0;  // plain: the queue makes it visible to the taker
  std::atomic<std::uint32_t> taken{0};
};

inline constexpr std::size_t many_items = sanitized ? 50'000 : 1'000'000;

// Each item is taken exactly once, with the number that was written before it was pushed. `steal`
// is the thieves' call. `Taker` has take(item, expectations), one for each thread.
template <class Taker, class Queue>
void race_for_items(std::size_t thieves, std::size_t count,
                    std::uint32_t (Queue::*steal)(queue_item**, std::uint32_t) noexcept) {
  constexpr std::uint32_t capacity = Queue::capacity;
  Queue queue;
  std::vector<queue_item> items(count);
  expectations e;
  std::vector<Taker> takers(thieves + 1);
  std::atomic<std::size_t> taken{0};
  std::atomic<bool> ends{false};
  const auto take = [&](Taker& by, queue_item* it) {
    it->taken.fetch_add(1, std::memory_order_relaxed);
    e.that(it == &items[it->number], "what was written before the push is seen");
    by.take(*it, e);
    taken.fetch_add(1, std::memory_order_relaxed);
  };
  const std::uint64_t first_seed = seed();
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < thieves; ++t) {
    threads.emplace_back([&, t] {
      random choose(first_seed, t);
      std::array<queue_item*, capacity> out;
      while (!ends.load(std::memory_order_acquire)) {
        const auto limit = static_cast<std::uint32_t>(1 + choose.below(capacity));
        const std::uint32_t n = (queue.*steal)(out.data(), limit);
        for (std::uint32_t i = 0; i < n; ++i) take(takers[t], out[i]);
        if (n == 0 && choose.below(64) == 0) std::this_thread::yield();
      }
    });
  }
  random choose(first_seed, thieves);
  Taker& owner = takers.back();
  std::size_t pushed = 0;
  while (pushed < count) {
    // Mostly few at a time: the owner and the thieves meet at the last item, and what a thief has
    // just read may be popped and replaced.
    for (std::uint64_t n = 1 + choose.below(choose.below(8) == 0 ? 2 * capacity : 2);
         n != 0 && pushed < count; --n) {
      items[pushed].number = pushed;
      if (!queue.push(&items[pushed])) break;
      ++pushed;
    }
    for (std::uint64_t n = choose.below(4); n != 0; --n) {
      if (queue_item* it = queue.pop()) take(owner, it);
    }
  }
  while (queue_item* it = queue.pop()) take(owner, it);
  ends.store(true, std::memory_order_release);
  for (std::thread& t : threads) t.join();

  CHECK(taken.load() == count);
  std::size_t wrong = 0;
  for (const queue_item& it : items) wrong += it.taken.load(std::memory_order_relaxed) != 1 ? 1 : 0;
  CHECK(wrong == 0);
  CHECK(e.failures() == "");
  CHECK(queue.empty());
}

}  // namespace test
