// Workloads over locks, conditions, sleeping and parked fibers.
#include <algorithm>
#include <chrono>
#include <random>

#include "bench.hpp"

namespace bench {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::int64_t lockers = 8;

void mutex_uncontended(const settings& s) {
  boost::fibers::mutex mutex;
  warm("mutex_uncontended", s.scaled(20'000'000), "ns/op", [&mutex](std::int64_t n) {
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      mutex.lock();
      ++count;
      mutex.unlock();
    }
    check(count == n, "mutex: each increment");
  });
}

void mutex_contended(const settings& s) {
  boost::fibers::mutex mutex;
  warm("mutex_contended", s.scaled(10'000'000, lockers), "ns/op", [&mutex](std::int64_t n) {
    std::int64_t count = 0;
    std::vector<boost::fibers::fiber> fibers;
    for (std::int64_t f = 0; f < lockers; ++f) {
      fibers.push_back(post([&mutex, &count, n] {
        for (std::int64_t i = 0; i < n / lockers; ++i) {
          mutex.lock();
          ++count;
          mutex.unlock();
        }
      }));
    }
    join(fibers);
    check(count == n / lockers * lockers, "mutex: each increment");
  });
}

void cond_pingpong(std::int64_t n) {
  boost::fibers::mutex mutex;
  boost::fibers::condition_variable changed;
  std::int64_t turn = 0;
  const auto play = [&](std::int64_t mine) {
    std::unique_lock<boost::fibers::mutex> lock(mutex);
    while (turn < n) {
      if (turn % 2 == mine) {
        ++turn;
        changed.notify_one();
      } else {
        changed.wait(lock);
      }
    }
    changed.notify_one();
  };
  boost::fibers::fiber first = post([&play] { play(0); });
  boost::fibers::fiber second = post([&play] { play(1); });
  first.join();
  second.join();
  check(turn == n, "cond: each turn once");
}

void sleep_once(const settings& s) {
  const std::int64_t n = s.scaled(1'000'000);
  std::atomic<std::int64_t> woken{0};
  const stopwatch watch;
  wait_group group(n);
  std::minstd_rand random(1);
  for (std::int64_t i = 0; i < n; ++i) {
    post([&woken, &group, duration = milliseconds(1 + random() % 1'000)] {
      boost::this_fiber::sleep_for(duration);
      woken.fetch_add(1, std::memory_order_relaxed);
      group.done();
    }).detach();
  }
  group.wait();
  const double wall = watch.wall_ns();
  const double cpu = watch.cpu_ns();
  figure("sleep_1m", wall / 1e6, "ms");
  figure("sleep_1m.cpu", cpu / 1e9, "s");
  figure("sleep_1m.rss", peak_rss_mib(), "MiB");
  check(woken == n, "sleep: all have slept");
}

void lateness(const std::string& name, std::size_t fibers, double seconds) {
  using ns = std::chrono::nanoseconds;
  const auto length = std::chrono::duration_cast<steady_clock::duration>(
      std::chrono::duration<double>(std::max(0.02, seconds)));
  std::vector<std::vector<std::uint32_t>> late(fibers);
  std::vector<boost::fibers::fiber> sleepers;
  const stopwatch watch;
  const auto end = steady_clock::now() + length;
  for (std::vector<std::uint32_t>& mine : late) {
    mine.reserve(static_cast<std::size_t>(length / milliseconds(1)) + 1);
    sleepers.push_back(post([&mine, end] {
      auto now = steady_clock::now();
      do {
        const auto due = now + milliseconds(1);
        boost::this_fiber::sleep_until(due);
        now = steady_clock::now();
        mine.push_back(static_cast<std::uint32_t>(ns(now - due).count()));
      } while (now < end);
    }));
  }
  join(sleepers);
  const double cpu = watch.cpu_ns();
  std::vector<std::uint32_t> all;
  for (const std::vector<std::uint32_t>& part : late)
    all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  const auto size = static_cast<double>(all.size());
  const auto quantile = [&](const char* suffix, double q) {
    const auto rank = static_cast<std::size_t>(q * size);
    figure(name + suffix, static_cast<double>(all[std::min(rank, all.size() - 1)]) / 1e3, "us");
  };
  quantile(".p50", 0.5);
  quantile(".p99", 0.99);
  quantile(".p999", 0.999);
  figure(name + ".cpu", cpu / size, "ns/op");
}

void parked(const std::string& name, std::int64_t n) {
  boost::fibers::unbuffered_channel<std::int64_t> gate;
  wait_group started(n);
  wait_group ended(n);
  const double before = memory_of_process();
  const stopwatch spawning;
  for (std::int64_t i = 0; i < n; ++i) {
    post([&] {
      started.done();
      std::int64_t nothing = 0;
      gate.pop(nothing);
      ended.done();
    }).detach();
  }
  started.wait();
  figure(name + ".spawn", spawning.wall_ns() / static_cast<double>(n), "ns/op");
  const double cpu = spawning.cpu_ns();
  figure(name, (memory_of_process() - before) / static_cast<double>(n), "B/fiber");
  const stopwatch waking;
  gate.close();
  ended.wait();
  figure(name + ".wake", waking.wall_ns() / static_cast<double>(n), "ns/op");
  figure(name + ".cpu", (cpu + waking.cpu_ns()) / static_cast<double>(n), "ns/op");
}

}  // namespace

void add_waiting(workloads& all) {
  all["mutex_uncontended"] = mutex_uncontended;
  all["mutex_contended"] = mutex_contended;
  all["cond_pingpong"] = [](const settings& s) {
    warm("cond_pingpong", s.scaled(2'000'000), "ns/op", cond_pingpong);
  };
  all["sleep_1m"] = sleep_once;
  all["timer_lateness"] = [](const settings& s) {
    lateness("timer_lateness", 10'000, 5.0 * s.scale);
  };
  all["timer_lateness_100"] = [](const settings& s) {
    lateness("timer_lateness_100", 100, 5.0 * s.scale);
  };
  all["mem_parked_1m"] = [](const settings& s) { parked("mem_parked_1m", s.scaled(1'000'000)); };
  all["mem_parked_100k"] = [](const settings& s) { parked("mem_parked_100k", s.scaled(100'000)); };
}

}  // namespace bench
