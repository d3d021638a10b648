// The bodies of foreign.hpp.
#include <chrono>
#include <cstring>

#include "suite/foreign.hpp"

void weft_bench_empty(void) {}

void weft_bench_busy_1us(void) {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + std::chrono::microseconds(1);
  while (clock::now() < end) {
  }
}

void weft_bench_move16(void* to, const void* from) { std::memmove(to, from, 16); }
