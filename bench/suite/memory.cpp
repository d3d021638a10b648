// What parked fibers cost in memory.
#include <cstdint>
#include <string>

#include "suite/bench.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

using bench::settings;

namespace {

void parked(const std::string& name, std::int64_t n) {
  const weft::chan<std::int64_t> gate = weft::make_chan<std::int64_t>();
  weft::wait_group started;
  weft::wait_group ended;
  started.add(n);
  ended.add(n);
  const double before = bench::memory_of_process();
  const bench::stopwatch spawning;
  for (std::int64_t i = 0; i < n; ++i) {
    weft::go([&] {
      started.done();
      static_cast<void>(gate.recv());
      ended.done();
    });
  }
  started.wait();
  bench::figure(name + ".spawn", spawning.wall_ns() / static_cast<double>(n), "ns/op");
  const double cpu = spawning.cpu_ns();
  bench::figure(name, (bench::memory_of_process() - before) / static_cast<double>(n), "B/fiber");
  const bench::stopwatch waking;
  gate.close();
  ended.wait();
  bench::figure(name + ".wake", waking.wall_ns() / static_cast<double>(n), "ns/op");
  bench::figure(name + ".cpu", (cpu + waking.cpu_ns()) / static_cast<double>(n), "ns/op");
}

}  // namespace

WEFT_WORKLOAD(mem_parked_1m) { parked("mem_parked_1m", s.scaled(1'000'000)); }
WEFT_WORKLOAD(mem_parked_100k) { parked("mem_parked_100k", s.scaled(100'000)); }
