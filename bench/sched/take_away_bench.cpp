// The take-away word: the bracket in which a machine touches its processor, and the look that every
// runtime entry begins with.
//
// Not measured: the other side, which is sysmon's and sits in the kernel (membarrier).
// Noise: little; a bracket is some ten instructions, so the loop's own cost shows.
#include <benchmark/benchmark.h>

#include "weft/runtime.hpp"
#include "weft/sched/machine.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/take_away.hpp"

namespace {

constexpr weft::options one_processor{.procs = 1};

void enter_leave(benchmark::State& state) {
  weft::run(
      [&state] {
        weft::detail::machine& m = *weft::detail::current_machine();
        for (auto _ : state) {
          const auto outer = weft::detail::enter(m);
          benchmark::ClobberMemory();
          if (outer != 0) state.SkipWithError("a fiber runs inside a bracket");
          weft::detail::leave(m, outer);
        }
      },
      one_processor);
}

void nested(benchmark::State& state) {
  weft::run(
      [&state] {
        weft::detail::machine& m = *weft::detail::current_machine();
        const auto outermost = weft::detail::enter(m);
        for (auto _ : state) {
          const auto outer = weft::detail::enter(m);
          benchmark::ClobberMemory();
          if (outer == 0) state.SkipWithError("the outer bracket is gone");
          weft::detail::leave(m, outer);
        }
        weft::detail::leave(m, outermost);
      },
      one_processor);
}

void look(benchmark::State& state) {
  weft::run(
      [&state] {
        for (auto _ : state) {
          weft::detail::safepoint();
          benchmark::ClobberMemory();
        }
      },
      one_processor);
}

}  // namespace

BENCHMARK(enter_leave)->Name("take_away/enter_leave/p:1")->UseRealTime();
BENCHMARK(nested)->Name("take_away/enter_leave/nested/p:1")->UseRealTime();
BENCHMARK(look)->Name("take_away/safepoint/p:1")->UseRealTime();
BENCHMARK_MAIN();
