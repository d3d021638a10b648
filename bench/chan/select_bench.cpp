// Select where it need not park: the claim of a shared wait by itself, a case that is ready, and a
// default.
//
// Not measured: enrolling on each channel and parking, which the suite's select_* have.
// Noise: some 3 %.
#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/waiter.hpp"
#include "weft/select.hpp"

namespace {

constexpr weft::options one_processor{.procs = 1};

using numbers = weft::chan<std::int64_t>;

// The word of a wait that several sources may end: the first claim wins, the second loses.
void claim(benchmark::State& state) {
  using weft::detail::wait_state;
  weft::run(
      [&state] {
        weft::detail::waiter place;
        for (auto _ : state) {
          wait_state wait(wait_state::kind::shared, weft::detail::wait_reason::select, &place, 1);
          if (wait.try_claim(0) != weft::detail::claim::running ||
              wait.try_claim(1) != weft::detail::claim::lost)
            state.SkipWithError("claimed twice, or not at all");
        }
        state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
      },
      one_processor);
}

template <std::size_t... I>
void select_from(const std::array<numbers, sizeof...(I)>& from, std::int64_t& sum,
                 std::index_sequence<I...>) {
  const auto add = [&sum](std::int64_t i) { sum += i; };
  weft::select(weft::recv(from[I], add)...);
}

// Of `Cases` channels the last one has something.
template <std::size_t Cases>
void one_ready(benchmark::State& state) {
  weft::run(
      [&state] {
        std::array<numbers, Cases> from;
        for (numbers& ch : from) ch = weft::make_chan<std::int64_t>(1);
        std::int64_t rounds = 0;
        std::int64_t sum = 0;
        for (auto _ : state) {
          from.back().send(1);
          select_from(from, sum, std::make_index_sequence<Cases>{});
          if (++rounds != sum) state.SkipWithError("another case");
        }
        state.SetItemsProcessed(rounds);
      },
      one_processor);
}

void default_miss(benchmark::State& state) {
  weft::run(
      [&state] {
        const numbers ch = weft::make_chan<std::int64_t>(1);
        std::int64_t rounds = 0;
        std::int64_t misses = 0;
        for (auto _ : state) {
          weft::select(weft::recv(ch, [](std::int64_t) {}), weft::otherwise([&] { ++misses; }));
          if (++rounds != misses) state.SkipWithError("something was there");
        }
        state.SetItemsProcessed(rounds);
      },
      one_processor);
}

}  // namespace

BENCHMARK(claim)->Name("select/claim/won_and_lost/p:1")->UseRealTime();
BENCHMARK(one_ready<2>)->Name("select/send_and_one_ready/of_2/p:1")->UseRealTime();
BENCHMARK(one_ready<8>)->Name("select/send_and_one_ready/of_8/p:1")->UseRealTime();
BENCHMARK(default_miss)->Name("select/default/miss/p:1")->UseRealTime();
BENCHMARK_MAIN();
