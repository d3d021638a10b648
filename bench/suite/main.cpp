// weft_bench NAME [-procs N] [-scale F]: one workload, its figures on standard output.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "suite/bench.hpp"
#include "weft/runtime.hpp"

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

workload* workload::first = nullptr;

workload::workload(std::string_view its_name, void (*its_body)(const settings&)) noexcept
    : name(its_name), body(its_body), next(first) {
  first = this;
}

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
  std::fprintf(stderr, "weft_bench: wrong result: %.*s\n", static_cast<int>(what.size()),
               what.data());
  std::exit(1);
}

namespace {

std::vector<const workload*> all_workloads() {
  std::vector<const workload*> all;
  for (const workload* w = workload::first; w != nullptr; w = w->next) all.push_back(w);
  std::sort(all.begin(), all.end(),
            [](const workload* a, const workload* b) { return a->name < b->name; });
  return all;
}

int run_named(const std::string& name, const settings& s) {
  const std::vector<const workload*> all = all_workloads();
  if (name == "list") {
    for (const workload* w : all) std::printf("%s\n", std::string(w->name).c_str());
    return 0;
  }
  for (const workload* w : all) {
    if (w->name != name) continue;
    weft::run([&] { w->body(s); }, weft::options{.procs = s.procs});
    return 0;
  }
  std::fprintf(stderr, "weft_bench: no workload '%s'; `weft_bench list` names them\n",
               name.c_str());
  return 2;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  // The peers' command line has long options with one dash.
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    const std::string text = argv[i];
    arguments.push_back(text == "-procs" || text == "-scale" ? "-" + text : text);
  }
  CLI::App app{"One workload of the benchmark suite."};
  std::string name;
  bench::settings s;
  app.add_option("NAME", name, "the workload; list: their names")->required();
  app.add_option("--procs", s.procs, "processors, 1 to 1024")->check(CLI::Range(1, 1024));
  app.add_option("--scale", s.scale, "multiplies the numbers of operations")
      ->check(CLI::PositiveNumber);
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return bench::run_named(name, s);
}
