// What Boost.Fiber's workloads share: their names, stacks, and the wait group that the library
// lacks.
#pragma once

#include <atomic>
#include <boost/fiber/all.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "frame/measure.hpp"

namespace bench {

using body = std::function<void(const settings&)>;
using workloads = std::map<std::string, body>;

void add_spawning(workloads& all);
void add_channels(workloads& all);
void add_waiting(workloads& all);

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
