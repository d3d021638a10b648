// Boost.Fiber's side of the benchmark suite: NAME [-procs N] [-scale F] runs one workload and
// prints its figures; `list` prints the names, `alternatives` those of the same work done in
// another obvious way, as NAME:HOW.
//
// With one processor the fibers run in turn on the main thread; with more, each has a thread, and
// they steal from one another. What the library has nothing for is left out: select, cancellation,
// timers that are stopped, and whatever preempts.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "bench.hpp"

namespace bench {

namespace {

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
