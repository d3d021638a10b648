// Workloads that call functions of another language.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "suite/bench.hpp"
#include "suite/foreign.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

using bench::settings;

namespace {

constexpr std::int64_t fibers = 8;

// Sixteen bytes from `offset` are moved back and forth n times by `move`.
template <class Move>
void move16(const char* name, std::int64_t n, std::size_t offset, Move move) {
  alignas(64) std::array<unsigned char, 64> from{};
  alignas(64) std::array<unsigned char, 64> to{};
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<unsigned char>(i);
  bench::warm(name, n, "ns/op", [&](std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) move(to.data() + offset, from.data() + offset);
  });
  bench::check(std::memcmp(to.data() + offset, from.data() + offset, 16) == 0, "move: the bytes");
}

// Two 8-byte moves; the barrier keeps the loop from being left out.
void two_moves(unsigned char* to, const unsigned char* from) {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::memcpy(&low, from, sizeof low);
  std::memcpy(&high, from + 8, sizeof high);
  std::memcpy(to, &low, sizeof low);
  std::memcpy(to + 8, &high, sizeof high);
  asm volatile("" ::: "memory");
}

void by_memcpy(unsigned char* to, const unsigned char* from) {
  std::memcpy(to, from, 16);
  asm volatile("" ::: "memory");
}

}  // namespace

WEFT_WORKLOAD(foreign_call) {
  bench::warm("foreign_call_empty", s.scaled(10'000'000), "ns/op", [](std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) weft::blocking(weft_bench_empty);
  });
  bench::warm("foreign_call_busy1us_x8", s.scaled(1'000'000, fibers), "ns/op", [](std::int64_t n) {
    weft::wait_group group;
    for (std::int64_t f = 0; f < fibers; ++f) {
      group.go([n] {
        for (std::int64_t i = 0; i < n / fibers; ++i) weft::blocking(weft_bench_busy_1us);
      });
    }
    group.wait();
  });
  const std::int64_t moves = s.scaled(10'000'000);
  move16("foreign_call_memmove16", moves, 0, [](unsigned char* to, const unsigned char* from) {
    weft::blocking([=] { weft_bench_move16(to, from); });
  });
  move16("memmove16", moves, 0, weft_bench_move16);
  move16("memmove16_unaligned", moves, 3, weft_bench_move16);
  move16("memcpy16", moves, 0, by_memcpy);
  move16("moves8x2", moves, 0, two_moves);
}
