// Workloads that start fibers, and switch between them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "suite/bench.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

using bench::settings;

WEFT_WORKLOAD(spawn_join) {
  bench::cold("spawn_join", s.scaled(1'000'000), "ns/op", [](std::int64_t n) {
    weft::wait_group group;
    group.add(n);
    for (std::int64_t i = 0; i < n; ++i) {
      weft::go([&group] { group.done(); });
    }
    group.wait();
  });
}

WEFT_WORKLOAD(spawn_join_1) {
  bench::warm("spawn_join_1", s.scaled(1'000'000), "ns/op", [](std::int64_t n) {
    weft::wait_group group;
    for (std::int64_t i = 0; i < n; ++i) {
      group.add();
      weft::go([&group] { group.done(); });
      group.wait();
    }
  });
}

namespace {

// `n` yields in all, by `fibers` of them.
void yield_in_turn(std::int64_t n, std::int64_t fibers) {
  const std::int64_t each = n / fibers + 1;
  weft::wait_group group;
  for (std::int64_t f = 0; f < fibers; ++f) {
    group.go([each] {
      for (std::int64_t i = 0; i < each; ++i) weft::yield();
    });
  }
  group.wait();
}

}  // namespace

WEFT_WORKLOAD(yield) {
  bench::warm("yield", s.scaled(1'000'000), "ns/op", [](std::int64_t n) { yield_in_turn(n, 2); });
}

WEFT_WORKLOAD(yield_1000) {
  bench::warm("yield_1000", s.scaled(4'000'000), "ns/op",
              [](std::int64_t n) { yield_in_turn(n, 1'000); });
}

namespace {

void skynet(const weft::chan<std::int64_t>& out, std::int64_t number, std::int64_t leaves) {
  if (leaves == 1) {
    out.send(number);
    return;
  }
  const weft::chan<std::int64_t> sums = weft::make_chan<std::int64_t>();
  const std::int64_t part = leaves / 10;
  for (std::int64_t i = 0; i < 10; ++i) {
    weft::go([sums, number, part, i] { skynet(sums, number + i * part, part); });
  }
  std::int64_t sum = 0;
  for (int i = 0; i < 10; ++i) sum += sums.recv().value();
  out.send(sum);
}

}  // namespace

WEFT_WORKLOAD(skynet) {
  std::int64_t leaves = 1;
  while (leaves * 10 <= s.scaled(1'000'000)) leaves *= 10;
  bench::cold_in_ms("skynet", [leaves] {
    const weft::chan<std::int64_t> result = weft::make_chan<std::int64_t>();
    weft::go([result, leaves] { skynet(result, 0, leaves); });
    bench::check(result.recv() == leaves * (leaves - 1) / 2, "skynet: the sum of the ids");
  });
}

namespace {

weft::chan<std::int64_t> fib(int n) {
  const weft::chan<std::int64_t> result = weft::make_chan<std::int64_t>(1);
  weft::go([result, n] {
    if (n < 2) {
      result.send(n);
      return;
    }
    const weft::chan<std::int64_t> first = fib(n - 1);
    const weft::chan<std::int64_t> second = fib(n - 2);
    result.send(first.recv().value() + second.recv().value());
  });
  return result;
}

std::int64_t plain_fib(int n) {
  std::int64_t a = 0;
  std::int64_t b = 1;
  for (; n > 0; --n) {
    a += b;
    std::swap(a, b);
  }
  return a;
}

}  // namespace

WEFT_WORKLOAD(fib) {
  // The number of calls grows with the result.
  int n = 27;
  while (n > 1 && plain_fib(n) > s.scaled(plain_fib(27))) --n;
  bench::cold_in_ms("fib", [n] { bench::check(fib(n).recv() == plain_fib(n), "fib: the number"); });
}

namespace {

constexpr std::ptrdiff_t sorted_in_place = 4'096;

void quicksort(std::span<std::int64_t> part) {
  weft::wait_group halves;
  while (static_cast<std::ptrdiff_t>(part.size()) > sorted_in_place) {
    const std::int64_t a = part.front();
    const std::int64_t b = part[part.size() / 2];
    const std::int64_t c = part.back();
    const std::int64_t pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
    // Hoare's partition: both sides are smaller than the whole, also with equal elements.
    std::size_t i = 0;
    std::size_t j = part.size() - 1;
    for (;; ++i, --j) {
      while (part[i] < pivot) ++i;
      while (pivot < part[j]) --j;
      if (i >= j) break;
      std::swap(part[i], part[j]);
    }
    const std::span<std::int64_t> left = part.first(j + 1);
    halves.go([left] { quicksort(left); });
    part = part.subspan(j + 1);
  }
  std::sort(part.begin(), part.end());
  halves.wait();
}

}  // namespace

WEFT_WORKLOAD(quicksort) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(s.scaled(10'000'000)));
  std::mt19937_64 random(1);
  for (std::int64_t& number : numbers) number = static_cast<std::int64_t>(random());
  const bench::stopwatch watch;
  quicksort(numbers);
  bench::in_ms("quicksort", watch);
  bench::check(std::is_sorted(numbers.begin(), numbers.end()), "quicksort: the order");
}
