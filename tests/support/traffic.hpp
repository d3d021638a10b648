// What the stress tests of channels and select share: channels of owned values, who uses them, and
// what was sent and received.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <numeric>
#include <vector>

#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/base/config.hpp"
#include "weft/chan.hpp"

namespace test {

// How many times longer a run is without a sanitizer.
inline constexpr std::uint64_t scale = WEFT_TSAN || WEFT_ASAN ? 1 : 5;

// A value that is lost twice or delivered twice is seen by the sanitizers too.
using element = std::unique_ptr<std::uint64_t>;
using values = std::vector<std::uint64_t>;

// Unbuffered ones twice as often as the others.
inline weft::chan<element> random_chan(random& rng) {
  constexpr std::size_t capacities[] = {0, 0, 1, 3, 16};
  return weft::make_chan<element>(capacities[rng.below(std::size(capacities))]);
}

inline kind random_kind(random& rng) { return rng.below(4) == 0 ? kind::thread : kind::fiber; }

// All of them in ascending order.
inline values merged(const std::vector<values>& parts) {
  values all;
  for (const values& part : parts) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  return all;
}

// 0 .. n - 1
inline values count_to(std::size_t n) {
  values all(n);
  std::iota(all.begin(), all.end(), std::uint64_t{0});
  return all;
}

}  // namespace test
