// The channel's fast path: operations of one fiber that never park.
//
// Not measured: parking, waking and contention, which the suite's chan_* have.
// Noise: some 3 %.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <optional>
#include <string>

#include "weft/chan.hpp"
#include "weft/runtime.hpp"

namespace {

constexpr weft::options one_processor{.procs = 1};

void send_recv(benchmark::State& state) {
  weft::run(
      [&state] {
        const auto ch = weft::make_chan<std::int64_t>(1);
        std::int64_t i = 0;
        for (auto _ : state) {
          ch.send(++i);
          if (ch.recv() != i) state.SkipWithError("another number");
        }
        state.SetItemsProcessed(i);
      },
      one_processor);
}

// Filled and emptied: the ring goes round.
void fill_drain(benchmark::State& state) {
  weft::run(
      [&state] {
        constexpr std::int64_t capacity = 128;
        const auto ch = weft::make_chan<std::int64_t>(capacity);
        std::int64_t items = 0;
        for (auto _ : state) {
          for (std::int64_t i = 0; i < capacity; ++i) ch.send(i);
          for (std::int64_t i = 0; i < capacity; ++i) {
            if (ch.recv() != i) state.SkipWithError("another number");
          }
          items += capacity;
        }
        state.SetItemsProcessed(items);
      },
      one_processor);
}

// A value that has to be moved, not copied as bytes.
void send_recv_string(benchmark::State& state) {
  weft::run(
      [&state] {
        const auto ch = weft::make_chan<std::string>(1);
        std::string text(100, 'x');
        for (auto _ : state) {
          ch.send(std::move(text));
          text = ch.recv().value();
        }
        if (text.size() != 100) state.SkipWithError("another text");
        state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
      },
      one_processor);
}

void try_recv_empty(benchmark::State& state) {
  weft::run(
      [&state] {
        const auto ch = weft::make_chan<std::int64_t>(1);
        for (auto _ : state) {
          if (ch.try_recv()) state.SkipWithError("there was something");
        }
        state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
      },
      one_processor);
}

void make(benchmark::State& state) {
  weft::run(
      [&state] {
        for (auto _ : state) {
          const auto ch = weft::make_chan<std::int64_t>();
          benchmark::DoNotOptimize(ch);
        }
        state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
      },
      one_processor);
}

}  // namespace

BENCHMARK(send_recv)->Name("channel/send_recv/int/p:1")->UseRealTime();
BENCHMARK(fill_drain)->Name("channel/fill_drain/int/p:1")->UseRealTime();
BENCHMARK(send_recv_string)->Name("channel/send_recv/string/p:1")->UseRealTime();
BENCHMARK(try_recv_empty)->Name("channel/try_recv/empty/p:1")->UseRealTime();
BENCHMARK(make)->Name("channel/make_destroy/p:1")->UseRealTime();
BENCHMARK_MAIN();
