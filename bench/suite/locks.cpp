// Workloads over locks, wait groups, once and conditions.
#include <cstdint>
#include <string>
#include <utility>

#include "suite/bench.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

using bench::settings;

namespace {

constexpr std::int64_t fibers = 8;

// Eight fibers call `step` n times in all.
template <class Step>
void by_eight(std::int64_t n, Step step) {
  weft::wait_group group;
  for (std::int64_t f = 0; f < fibers; ++f) {
    group.go([n, step] {
      for (std::int64_t i = 0; i < n / fibers; ++i) step();
    });
  }
  group.wait();
}

}  // namespace

WEFT_WORKLOAD(mutex_uncontended) {
  weft::mutex mutex;
  std::int64_t count = 0;
  bench::warm("mutex_uncontended", s.scaled(20'000'000), "ns/op", [&](std::int64_t n) {
    count = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      mutex.lock();
      ++count;
      mutex.unlock();
    }
    bench::check(count == n, "mutex: each increment");
  });
}

WEFT_WORKLOAD(mutex_contended) {
  weft::mutex mutex;
  std::int64_t count = 0;
  bench::warm("mutex_contended", s.scaled(10'000'000, fibers), "ns/op", [&](std::int64_t n) {
    count = 0;
    by_eight(n, [&] {
      mutex.lock();
      ++count;
      mutex.unlock();
    });
    bench::check(count == n / fibers * fibers, "mutex: each increment");
  });
}

WEFT_WORKLOAD(rwmutex_read_contended) {
  weft::rw_mutex mutex;
  const std::int64_t value = 1;
  bench::warm("rwmutex_read_contended", s.scaled(10'000'000, fibers), "ns/op", [&](std::int64_t n) {
    weft::wait_group group;
    for (std::int64_t f = 0; f < fibers; ++f) {
      group.go([&mutex, &value, n] {
        std::int64_t sum = 0;
        for (std::int64_t i = 0; i < n / fibers; ++i) {
          mutex.lock_shared();
          sum += value;
          mutex.unlock_shared();
        }
        bench::check(sum == n / fibers, "rw_mutex: each read");
      });
    }
    group.wait();
  });
}

WEFT_WORKLOAD(waitgroup) {
  weft::wait_group group;
  bench::warm("waitgroup", s.scaled(20'000'000), "ns/op", [&](std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      group.add();
      group.done();
    }
    group.wait();
  });
}

WEFT_WORKLOAD(once) {
  weft::once once;
  int runs = 0;
  bench::warm("once", s.scaled(100'000'000), "ns/op", [&](std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) once.call([&] { ++runs; });
  });
  bench::check(runs == 1, "once: one run");
}

WEFT_WORKLOAD(cond_pingpong) {
  bench::warm("cond_pingpong", s.scaled(2'000'000), "ns/op", [](std::int64_t n) {
    weft::mutex mutex;
    weft::cond changed;
    std::int64_t turn = 0;
    const auto play = [&](std::int64_t mine) {
      mutex.lock();
      while (turn < n) {
        if (turn % 2 == mine) {
          ++turn;
          changed.signal();
        } else {
          changed.wait(mutex);
        }
      }
      changed.signal();
      mutex.unlock();
    };
    weft::wait_group group;
    group.go([&play] { play(0); });
    group.go([&play] { play(1); });
    group.wait();
    bench::check(turn == n, "cond: each turn once");
  });
}
