// What every C++ side of the suite measures with: time, memory, the figures printed, and how often
// a workload runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

struct settings {
  unsigned procs = 1;
  double scale = 1.0;

  // `n` operations at scale 1; at least `least`.
  [[nodiscard]] std::int64_t scaled(std::int64_t n, std::int64_t least = 1) const noexcept;
};

// Wall time and the process's user and system time since it was made.
class stopwatch {
 public:
  stopwatch() noexcept;
  [[nodiscard]] double wall_ns() const noexcept;
  [[nodiscard]] double cpu_ns() const noexcept;

 private:
  std::chrono::steady_clock::time_point start_;
  double cpu_start_;
};

// Resident memory and page tables, in bytes; the most that was ever resident, in MiB.
[[nodiscard]] double memory_of_process();
[[nodiscard]] double peak_rss_mib() noexcept;

// Prints one figure.
void figure(std::string_view name, double value, std::string_view unit);
// Prints `name` and `name`.cpu: the time since `watch` was made, per operation in ns, or in ms.
void per_operation(const std::string& name, const stopwatch& watch, std::int64_t operations,
                   std::string_view unit);
void in_ms(const std::string& name, const stopwatch& watch);

// Ends the process with status 1 and a word when a workload's result is wrong.
void check(bool right, std::string_view what);

// Runs `work(n)` warm: a tenth of the operations unmeasured, then all of them.
template <class Work>
void warm(const std::string& name, std::int64_t n, std::string_view unit, Work work) {
  work(n / 10 + 1);
  const stopwatch watch;
  work(n);
  per_operation(name, watch, n, unit);
}

// Runs `work(n)` as the first thing in the process, then once more as `name`.warm.
template <class Work>
void cold(const std::string& name, std::int64_t n, std::string_view unit, Work work) {
  for (const char* suffix : {"", ".warm"}) {
    const stopwatch watch;
    work(n);
    per_operation(name + suffix, watch, n, unit);
  }
}
template <class Work>
void cold_in_ms(const std::string& name, Work work) {
  for (const char* suffix : {"", ".warm"}) {
    const stopwatch watch;
    work();
    in_ms(name + suffix, watch);
  }
}

}  // namespace bench
