// The seed of a stress test: printed, and taken from WEFT_TEST_SEED to repeat a run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace test {

inline std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* given = std::getenv("WEFT_TEST_SEED");
    const std::uint64_t s =
        given != nullptr ? std::strtoull(given, nullptr, 0)
                         : (std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}();
    std::printf("WEFT_TEST_SEED=%llu\n", static_cast<unsigned long long>(s));
    std::fflush(stdout);
    return s;
  }();
  return value;
}

// SplitMix64: small, and the same everywhere.
class random {
 public:
  random(std::uint64_t seed, std::uint64_t stream)
      : state_(seed ^ (stream * 0xd1342543de82ef95U)) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  // 0 .. n - 1
  std::uint64_t below(std::uint64_t n) { return next() % n; }

 private:
  std::uint64_t state_;
};

}  // namespace test
