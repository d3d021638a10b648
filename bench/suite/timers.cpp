// Workloads over timers and sleeping, and how late fibers run.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "suite/bench.hpp"
#include "suite/latencies.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

using namespace std::chrono_literals;
using bench::settings;

namespace {

std::int64_t ns(weft::clock::duration d) { return std::chrono::nanoseconds(d).count(); }

}  // namespace

WEFT_WORKLOAD(timer_create_stop) {
  bench::warm("timer_create_stop", s.scaled(2'000'000), "ns/op", [](std::int64_t n) {
    std::int64_t stopped = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      weft::timer timer(1h);
      stopped += timer.stop() ? 1 : 0;
    }
    bench::check(stopped == n, "timer: each was stopped");
  });
}

WEFT_WORKLOAD(sleep_1m) {
  const std::int64_t n = s.scaled(1'000'000);
  std::atomic<std::int64_t> woken{0};
  const bench::stopwatch watch;
  weft::wait_group group;
  std::minstd_rand random(1);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto duration = std::chrono::milliseconds(1 + random() % 1'000);
    group.go([&woken, duration] {
      weft::sleep_for(duration);
      woken.fetch_add(1, std::memory_order_relaxed);
    });
  }
  group.wait();
  const double wall = watch.wall_ns();
  const double cpu = watch.cpu_ns();
  bench::figure("sleep_1m", wall / 1e6, "ms");
  bench::figure("sleep_1m.cpu", cpu / 1e9, "s");
  bench::figure("sleep_1m.rss", bench::peak_rss_mib(), "MiB");
  bench::check(woken == n, "sleep: all have slept");
}

namespace {

weft::clock::time_point after(double seconds) {
  return weft::clock::now() +
         std::chrono::duration_cast<weft::clock::duration>(std::chrono::duration<double>(seconds));
}

// Sleeps 1 ms again and again, once at least, and notes how late it woke.
void sleep_until_end(weft::clock::time_point end, bench::latencies& late) {
  auto now = weft::clock::now();
  do {
    const auto due = now + 1ms;
    weft::sleep_for(1ms);
    now = weft::clock::now();
    late.add(ns(now - due));
  } while (now < end);
}

// `fibers` sleep 1 ms in a loop for `seconds`.
void lateness(const std::string& name, std::int64_t fibers, double seconds) {
  std::vector<bench::latencies> late(static_cast<std::size_t>(fibers));
  const auto end = after(seconds);
  const bench::stopwatch watch;
  weft::wait_group group;
  for (bench::latencies& mine : late) {
    mine.reserve(static_cast<std::size_t>(seconds * 1'000) + 1);
    group.go([&mine, end] { sleep_until_end(end, mine); });
  }
  group.wait();
  const double cpu = watch.cpu_ns();
  bench::latencies all;
  for (const bench::latencies& part : late) all.add(part);
  const auto sleeps = static_cast<double>(all.size());
  bench::figure(name + ".p50", all.quantile_us(0.5), "us");
  bench::figure(name + ".p99", all.quantile_us(0.99), "us");
  bench::figure(name + ".p999", all.quantile_us(0.999), "us");
  bench::figure(name + ".cpu", cpu / sleeps, "ns/op");
}

}  // namespace

WEFT_WORKLOAD(timer_lateness) { lateness("timer_lateness", 10'000, 5.0 * s.scale); }
WEFT_WORKLOAD(timer_lateness_100) { lateness("timer_lateness_100", 100, 5.0 * s.scale); }

namespace {

// Without a call that the runtime could use.
void spin_until(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
  }
}

}  // namespace

WEFT_WORKLOAD(hog_latency) {
  const auto end = after(3.0 * s.scale);
  std::atomic<bool> stop{false};
  weft::wait_group group;
  for (int i = 0; i < 2; ++i) {
    group.go([&stop] { spin_until(stop); });
  }
  bench::latencies late;
  const bench::stopwatch watch;
  group.go([&] {
    sleep_until_end(end, late);
    stop = true;
  });
  group.wait();
  const double cpu = watch.cpu_ns();
  bench::figure("hog_latency.p50", late.quantile_us(0.5), "us");
  bench::figure("hog_latency.p99", late.quantile_us(0.99), "us");
  bench::figure("hog_latency.max", late.quantile_us(1.0), "us");
  bench::figure("hog_latency.cpu", cpu / static_cast<double>(late.size()), "ns/op");
}

namespace {

// A blocked fiber is woken every 100 us; `pause(until)` is how the other one waits between.
template <class Pause>
void unpark(const std::string& name, std::int64_t n, Pause pause) {
  const weft::chan<weft::clock::time_point> wake = weft::make_chan<weft::clock::time_point>();
  bench::latencies late;
  bench::latencies periods;
  const bench::stopwatch watch;
  weft::wait_group group;
  group.go([&] {
    for (const weft::clock::time_point sent : wake) late.add(ns(weft::clock::now() - sent));
  });
  group.go([&] {
    auto last = weft::clock::now();
    for (std::int64_t i = 0; i < n; ++i) {
      pause(last + 100us);
      const auto now = weft::clock::now();
      periods.add(ns(now - last));
      last = now;
      wake.send(now);
    }
    wake.close();
  });
  group.wait();
  bench::check(late.size() == static_cast<std::size_t>(n), "unpark: each wake-up arrived");
  bench::figure(name + ".p50", late.quantile_us(0.5), "us");
  bench::figure(name + ".p99", late.quantile_us(0.99), "us");
  bench::figure(name + ".period", periods.quantile_us(0.5), "us");
  bench::figure(name + ".cpu", watch.cpu_ns() / static_cast<double>(n), "ns/op");
}

}  // namespace

WEFT_WORKLOAD(spawn_parked_unpark) {
  unpark("spawn_parked_unpark", s.scaled(20'000), [](weft::clock::time_point until) {
    while (weft::clock::now() < until) {
    }
  });
}
WEFT_WORKLOAD(spawn_parked_unpark_sleep) {
  unpark("spawn_parked_unpark_sleep", s.scaled(20'000),
         [](weft::clock::time_point until) { weft::sleep_for(until - weft::clock::now()); });
}
