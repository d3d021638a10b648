// Latencies in nanoseconds, and the figures that are printed of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "suite/bench.hpp"

namespace bench {

class latencies {
 public:
  void add(std::int64_t ns) { values_.push_back(ns); }
  void add(const latencies& more) {
    values_.insert(values_.end(), more.values_.begin(), more.values_.end());
  }
  void reserve(std::size_t n) { values_.reserve(n); }
  [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }

  // The least value that a share of at least `q` does not pass; in us.
  [[nodiscard]] double quantile_us(double q) {
    check(!values_.empty(), "there are latencies");
    std::sort(values_.begin(), values_.end());
    const auto rank = static_cast<std::size_t>(q * static_cast<double>(values_.size()));
    return static_cast<double>(values_[std::min(rank, values_.size() - 1)]) / 1'000.0;
  }

 private:
  std::vector<std::int64_t> values_;
};

}  // namespace bench
