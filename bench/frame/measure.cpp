// The bodies of measure.hpp.
#include "frame/measure.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace bench {

namespace {

double cpu_of_process() noexcept {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_usec) * 1e3;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

}  // namespace

std::int64_t settings::scaled(std::int64_t n, std::int64_t least) const noexcept {
  return std::max(least, static_cast<std::int64_t>(std::llround(static_cast<double>(n) * scale)));
}

stopwatch::stopwatch() noexcept
    : start_(std::chrono::steady_clock::now()), cpu_start_(cpu_of_process()) {}

double stopwatch::wall_ns() const noexcept {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_)
      .count();
}

double stopwatch::cpu_ns() const noexcept { return cpu_of_process() - cpu_start_; }

double memory_of_process() {
  std::ifstream status("/proc/self/status");
  double sum = 0;
  for (std::string word; status >> word;) {
    if (word != "VmRSS:" && word != "VmPTE:") continue;
    double kib = 0;
    status >> kib;
    sum += kib * 1024.0;
  }
  check(sum > 0, "/proc/self/status tells the memory");
  return sum;
}

double peak_rss_mib() noexcept {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

void figure(std::string_view name, double value, std::string_view unit) {
  std::printf("%.*s\t%.6g\t%.*s\n", static_cast<int>(name.size()), name.data(), value,
              static_cast<int>(unit.size()), unit.data());
}

void per_operation(const std::string& name, const stopwatch& watch, std::int64_t operations,
                   std::string_view unit) {
  const double wall = watch.wall_ns();
  const double cpu = watch.cpu_ns();
  figure(name, wall / static_cast<double>(operations), unit);
  figure(name + ".cpu", cpu / static_cast<double>(operations), unit);
}

void in_ms(const std::string& name, const stopwatch& watch) {
  const double wall = watch.wall_ns();
  const double cpu = watch.cpu_ns();
  figure(name, wall / 1e6, "ms");
  figure(name + ".cpu", cpu / 1e6, "ms");
}

void check(bool right, std::string_view what) {
  if (right) return;
  std::fprintf(stderr, "bench: wrong result: %.*s\n", static_cast<int>(what.size()), what.data());
  std::exit(1);
}

}  // namespace bench
