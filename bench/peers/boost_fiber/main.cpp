// Boost.Fiber's side of the benchmark suite: NAME [-procs N] [-scale F] runs one workload and
// prints its figures; `list` prints the names, `alternatives` those of the same work done in
// another obvious way, as NAME:HOW.
//
// With one processor the fibers run in turn on the main thread; with more, each has a thread, and
// they steal from one another. What the library has nothing for is left out: select, cancellation,
// timers that are stopped, and whatever preempts.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "bench.hpp"

namespace bench {

namespace {

double cpu_of_process() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_usec) * 1e3;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

void run(const settings& s, const body& work) {
  if (s.procs == 1) {
    work(s);
    return;
  }
  // The threads are there before the first fiber: the schedulers wait for one another.
  boost::fibers::mutex mutex;
  boost::fibers::condition_variable_any changed;
  bool over = false;
  const auto steal = [&s] {
    boost::fibers::use_scheduling_algorithm<boost::fibers::algo::work_stealing>(s.procs, true);
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < s.procs; ++i) {
    threads.emplace_back([&] {
      steal();
      std::unique_lock<boost::fibers::mutex> lock(mutex);
      changed.wait(lock, [&over] { return over; });
    });
  }
  steal();
  work(s);
  {
    const std::lock_guard<boost::fibers::mutex> lock(mutex);
    over = true;
  }
  changed.notify_all();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

std::int64_t settings::scaled(std::int64_t n, std::int64_t least) const {
  return std::max(least, static_cast<std::int64_t>(std::llround(static_cast<double>(n) * scale)));
}

stopwatch::stopwatch() : start_(std::chrono::steady_clock::now()), cpu_start_(cpu_of_process()) {}

double stopwatch::wall_ns() const {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_)
      .count();
}

double stopwatch::cpu_ns() const { return cpu_of_process() - cpu_start_; }

void figure(const std::string& name, double value, const char* unit) {
  std::printf("%s\t%.6g\t%s\n", name.c_str(), value, unit);
}

void per_operation(const std::string& name, const stopwatch& watch, std::int64_t n,
                   const char* unit) {
  const double wall = watch.wall_ns();
  const double cpu = watch.cpu_ns();
  figure(name, wall / static_cast<double>(n), unit);
  figure(name + ".cpu", cpu / static_cast<double>(n), unit);
}

void in_ms(const std::string& name, const stopwatch& watch) {
  const double wall = watch.wall_ns();
  const double cpu = watch.cpu_ns();
  figure(name, wall / 1e6, "ms");
  figure(name + ".cpu", cpu / 1e6, "ms");
}

void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "bench: wrong result: %s\n", what);
  std::exit(1);
}

}  // namespace bench

int main(int argc, char** argv) {
  bench::workloads all;
  bench::add_spawning(all);
  bench::add_channels(all);
  bench::add_waiting(all);

  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "list" || name == "alternatives") {
    for (const auto& [listed, body] : all) {
      const bool other = listed.find(':') != std::string::npos;
      if (other == (name == "alternatives")) std::printf("%s\n", listed.c_str());
    }
    return 0;
  }
  bench::settings s;
  s.procs = std::max(1U, std::thread::hardware_concurrency());
  bool right = argc % 2 == 0;
  for (int i = 2; right && i < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "-procs") {
      s.procs = static_cast<unsigned>(std::atoi(argv[i + 1]));
    } else if (option == "-scale") {
      s.scale = std::atof(argv[i + 1]);
    } else {
      right = false;
    }
  }
  const auto found = all.find(name);
  if (!right || s.procs < 1 || !(s.scale > 0) || found == all.end()) {
    std::fprintf(stderr, "usage: NAME|list|alternatives [-procs N] [-scale F]\n");
    return 2;
  }
  bench::run(s, found->second);
  return 0;
}
