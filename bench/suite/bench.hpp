// The frame of the workloads: their names, how long and how much they run, and the figures printed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

struct settings {
  unsigned procs = 2;
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

// Prints one figure.
void figure(std::string_view name, double value, std::string_view unit);
// Prints `name` and `name`.cpu: the time since `watch` was made, per operation in ns, or in ms.
void per_operation(const std::string& name, const stopwatch& watch, std::int64_t operations,
                   std::string_view unit = "ns/op");
void in_ms(const std::string& name, const stopwatch& watch);

// Ends the process with status 1 and a word when a workload's result is wrong.
void check(bool right, std::string_view what);

// Runs `work(n)` warm: a tenth of the operations unmeasured, then all of them.
template <class Work>
void warm(const std::string& name, std::int64_t n, Work work, std::string_view unit = "ns/op") {
  work(n / 10 + 1);
  const stopwatch watch;
  work(n);
  per_operation(name, watch, n, unit);
}

// Runs `work(n)` as the first thing in the process, then once more as `name`.warm.
template <class Work>
void cold(const std::string& name, std::int64_t n, Work work, std::string_view unit = "ns/op") {
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

// Collected latencies, in ns.
class latencies;

// A workload; `body` runs as the main fiber of a runtime with settings.procs processors.
struct workload {
  workload(std::string_view name, void (*body)(const settings&)) noexcept;

  std::string_view name;
  void (*body)(const settings&);
  workload* next;

  static workload* first;
};

}  // namespace bench

// Defines the workload `id` under its own name: WORKLOAD(yield) { … uses `s` … }
#define WEFT_WORKLOAD(id)                                    \
  static void run_##id(const bench::settings& s);            \
  static const bench::workload workload_##id(#id, run_##id); \
  static void run_##id([[maybe_unused]] const bench::settings& s)
