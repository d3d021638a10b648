// Watching over rounds: that something happens, and that a round leaves nothing behind.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "support/process.hpp"

namespace soak {

// While it lives: when no step is made for `patience`, prints every fiber and ends the process.
class watchdog {
 public:
  watchdog(const std::atomic<std::uint64_t>& steps, std::chrono::seconds patience);
  ~watchdog();
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;

 private:
  void watch(std::chrono::seconds patience);

  const std::atomic<std::uint64_t>& steps_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_over_ = false;  // guarded by mutex_
  std::thread thread_;
};

// Threads and descriptors must be after each round as they were at the start. Memory may grow while
// `warm_up` rounds fill caches; from then on the heap may be larger by `heap_slack` after a round,
// when all is freed, and what is resident by `resident_slack`.
class holdings_watch {
 public:
  static constexpr unsigned warm_up = 100;
  static constexpr std::size_t heap_slack = std::size_t{1} << 20U;
  static constexpr std::size_t resident_slack = std::size_t{32} << 20U;

  holdings_watch();

  // After each round; empty, or what has grown.
  [[nodiscard]] std::string look();

 private:
  test::holdings at_start_;
  unsigned rounds_ = 0;
  std::size_t heap_ = 0;  // the largest during the warm-up
  std::size_t resident_ = 0;
};

}  // namespace soak
