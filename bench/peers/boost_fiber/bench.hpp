// The frame of Boost.Fiber's workloads: time, figures, stacks, and the wait group that the library
// lacks.
#pragma once

#include <atomic>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

struct settings {
  unsigned procs = 1;
  double scale = 1;

  // `n` operations at scale 1, at least `least`.
  [[nodiscard]] std::int64_t scaled(std::int64_t n, std::int64_t least = 1) const;
};

using body = std::function<void(const settings&)>;
using workloads = std::map<std::string, body>;

void add_spawning(workloads& all);
void add_channels(workloads& all);
void add_waiting(workloads& all);

// Wall time and the process's user and system time since it was made.
class stopwatch {
 public:
  stopwatch();
  [[nodiscard]] double wall_ns() const;
  [[nodiscard]] double cpu_ns() const;

 private:
  std::chrono::steady_clock::time_point start_;
  double cpu_start_;
};

void figure(const std::string& name, double value, const char* unit);
void per_operation(const std::string& name, const stopwatch& watch, std::int64_t n,
                   const char* unit);
void in_ms(const std::string& name, const stopwatch& watch);

// Ends the process with status 1 when a workload's result is wrong.
void check(bool right, const char* what);

// Measures work(n) after a tenth of it.
template <class Work>
void warm(const std::string& name, std::int64_t n, const char* unit, Work work) {
  work(n / 10 + 1);
  const stopwatch watch;
  work(n);
  per_operation(name, watch, n, unit);
}

// Measures work() as the first thing in the process, then once more as name.warm.
template <class Work>
void cold(const std::string& name, std::int64_t n, const char* unit, Work work) {
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

// The default of 128 KiB, from malloc, is much for fibers by the million.
inline boost::fibers::fixedsize_stack stack() { return boost::fibers::fixedsize_stack(16 * 1024); }

// A fiber that runs later, as of another's `go`; one that runs at once, its starter later.
template <class Function>
boost::fibers::fiber post(Function function) {
  return boost::fibers::fiber(boost::fibers::launch::post, std::allocator_arg, stack(),
                              std::move(function));
}
template <class Function>
boost::fibers::fiber dispatch(Function function) {
  return boost::fibers::fiber(boost::fibers::launch::dispatch, std::allocator_arg, stack(),
                              std::move(function));
}

class wait_group {
 public:
  explicit wait_group(std::int64_t n) : left_(n) {}

  void done() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    // Under the lock to the end: who waits destroys this.
    const std::lock_guard<boost::fibers::mutex> lock(mutex_);
    ended_ = true;
    all_done_.notify_one();
  }
  void wait() {
    std::unique_lock<boost::fibers::mutex> lock(mutex_);
    all_done_.wait(lock, [this] { return ended_; });
  }

 private:
  std::atomic<std::int64_t> left_;
  bool ended_ = false;
  boost::fibers::mutex mutex_;
  boost::fibers::condition_variable all_done_;
};

inline void join(std::vector<boost::fibers::fiber>& fibers) {
  for (boost::fibers::fiber& fiber : fibers) fiber.join();
}

}  // namespace bench
