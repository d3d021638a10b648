// The timers of one processor: inserted and taken out again, among 0 to a million others.
//
// Not measured: the wake-up of a poller that sleeps too long, and the memory of the nodes: what is
// inserted is one node, warm. The others' places in the heap are hot at the top only.
// Noise: 10 % with a million, by the caches.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "weft/base/random.hpp"
#include "weft/sched/timer_heap.hpp"

using weft::detail::timer_heap;
using weft::detail::timer_node;

namespace {

constexpr std::uint32_t latest = 1'000'000'000;

std::int64_t do_not_repeat(timer_node&, std::int64_t) noexcept { return weft::detail::never; }

// A heap with as many timers as the benchmark says, due at random times.
struct filled_heap {
  explicit filled_heap(benchmark::State& state) : nodes(static_cast<std::size_t>(state.range(0))) {
    random.seed(1);
    for (timer_node& node : nodes) {
      node.fire = do_not_repeat;
      static_cast<void>(heap.insert(node, 1 + random.below(latest)));
    }
  }
  weft::detail::random_source random;
  std::vector<timer_node> nodes;
  timer_heap heap;
};

// Due at any time among the others: sifted up some way, and the last one down from its place.
void insert_cancel(benchmark::State& state) {
  filled_heap filled(state);
  timer_node node;
  node.fire = do_not_repeat;
  for (auto _ : state) {
    static_cast<void>(filled.heap.insert(node, 1 + filled.random.below(latest)));
    if (!disarm(node)) state.SkipWithError("it was not armed");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

// Later than all others, as time-outs mostly are: both ends are at the bottom.
void insert_cancel_last(benchmark::State& state) {
  filled_heap filled(state);
  timer_node node;
  node.fire = do_not_repeat;
  for (auto _ : state) {
    static_cast<void>(filled.heap.insert(node, std::int64_t{2} * latest));
    if (!disarm(node)) state.SkipWithError("it was not armed");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

// The first of all, fired.
void insert_fire(benchmark::State& state) {
  filled_heap filled(state);
  timer_node node;
  node.fire = do_not_repeat;
  for (auto _ : state) {
    if (!filled.heap.insert(node, 0)) state.SkipWithError("it is not the first");
    if (filled.heap.run_due(0) != 1) state.SkipWithError("it did not fire");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

}  // namespace

BENCHMARK(insert_cancel)
    ->Name("timer_heap/insert_cancel/anywhere")
    ->Arg(0)
    ->Arg(1'000)
    ->Arg(1'000'000)
    ->UseRealTime();
BENCHMARK(insert_cancel_last)
    ->Name("timer_heap/insert_cancel/last")
    ->Arg(0)
    ->Arg(1'000)
    ->Arg(1'000'000)
    ->UseRealTime();
BENCHMARK(insert_fire)
    ->Name("timer_heap/insert_fire")
    ->Arg(0)
    ->Arg(1'000)
    ->Arg(1'000'000)
    ->UseRealTime();
BENCHMARK_MAIN();
