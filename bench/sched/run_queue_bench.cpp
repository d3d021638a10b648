// The local run queue: its owner's push and pop, and what a thief takes.
//
// Not measured: what a fiber's own line costs whoever takes it; the items here are never touched.
// Noise: little, but with a thief on another core: there by as much as the two meet, 30 % and more.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>

#include "weft/sched/run_queue.hpp"

namespace {

using queue = weft::detail::run_queue<int>;

std::array<int, queue::capacity> items;

// `fill` in, `fill` out: a queue that is nearly empty, and one that gets full.
void push_pop(benchmark::State& state) {
  queue q;
  const auto fill = static_cast<std::uint32_t>(state.range(0));
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < fill; ++i) {
      if (!q.push(&items[i])) state.SkipWithError("no room");
    }
    for (std::uint32_t i = 0; i < fill; ++i) {
      if (q.pop() != &items[i]) state.SkipWithError("another item");
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * fill);
}

// A queue of `fill`, of which the older half is taken; the owner takes the rest.
void steal(benchmark::State& state) {
  queue q;
  const auto fill = static_cast<std::uint32_t>(state.range(0));
  std::array<int*, queue::capacity> taken{};
  std::int64_t stolen = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < fill; ++i) {
      if (!q.push(&items[i])) state.SkipWithError("no room");
    }
    const std::uint32_t n = q.steal(taken.data(), queue::capacity);
    if (n != fill - fill / 2 || taken[n - 1] != &items[n - 1]) state.SkipWithError("another half");
    stolen += n;
    while (q.pop() != nullptr) {
    }
  }
  state.SetItemsProcessed(stolen);
}

// The owner, while a thief on another core takes what it can.
void push_pop_with_thief(benchmark::State& state) {
  queue q;
  std::atomic<bool> over{false};
  std::int64_t stolen = 0;
  std::thread thief([&] {
    std::array<int*, queue::capacity> taken{};
    while (!over.load(std::memory_order_relaxed))
      stolen += q.steal(taken.data(), queue::capacity / 2);
  });
  std::int64_t pushed = 0;
  std::int64_t popped = 0;
  for (auto _ : state) {
    for (int& item : items) pushed += q.push(&item) ? 1 : 0;
    while (q.pop() != nullptr) ++popped;
  }
  over = true;
  thief.join();
  if (pushed != popped + stolen) state.SkipWithError("an item is lost, or there twice");
  state.SetItemsProcessed(pushed);
}

}  // namespace

BENCHMARK(push_pop)->Name("run_queue/push_pop/p:1")->Arg(1)->Arg(queue::capacity)->UseRealTime();
BENCHMARK(steal)->Name("run_queue/steal/p:1")->Arg(1)->Arg(queue::capacity)->UseRealTime();
BENCHMARK(push_pop_with_thief)->Name("run_queue/push_pop/with_thief/p:2")->UseRealTime();
BENCHMARK_MAIN();
