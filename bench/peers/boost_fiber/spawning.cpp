// Workloads that start fibers, and switch between them.
#include <algorithm>
#include <cstddef>
#include <random>

#include "bench.hpp"

namespace bench {

namespace {

using channel = boost::fibers::unbuffered_channel<std::int64_t>;

template <class Start>
void spawn_join(const settings& s, Start start) {
  cold("spawn_join", s.scaled(1'000'000), "ns/op", [start](std::int64_t n) {
    wait_group group(n);
    for (std::int64_t i = 0; i < n; ++i) start([&group] { group.done(); }).detach();
    group.wait();
  });
}

template <class Start>
void spawn_join_1(const settings& s, Start start) {
  warm("spawn_join_1", s.scaled(1'000'000), "ns/op", [start](std::int64_t n) {
    std::int64_t ended = 0;
    for (std::int64_t i = 0; i < n; ++i) start([&ended] { ++ended; }).join();
    check(ended == n, "spawn: each has ended");
  });
}

// `n` yields in all, by `fibers` of them.
void yield_in_turn(std::int64_t n, std::int64_t fibers) {
  const std::int64_t each = n / fibers + 1;
  std::vector<boost::fibers::fiber> all;
  for (std::int64_t f = 0; f < fibers; ++f) {
    all.push_back(post([each] {
      for (std::int64_t i = 0; i < each; ++i) boost::this_fiber::yield();
    }));
  }
  join(all);
}

void skynet(channel& out, std::int64_t number, std::int64_t leaves) {
  if (leaves == 1) {
    out.push(number);
    return;
  }
  channel sums;
  const std::int64_t part = leaves / 10;
  std::vector<boost::fibers::fiber> children;
  for (std::int64_t i = 0; i < 10; ++i) {
    children.push_back(post([&sums, number, part, i] { skynet(sums, number + i * part, part); }));
  }
  std::int64_t sum = 0;
  for (int i = 0; i < 10; ++i) sum += sums.value_pop();
  out.push(sum);
  join(children);
}

void skynet_workload(const settings& s) {
  std::int64_t leaves = 1;
  while (leaves * 10 <= s.scaled(1'000'000, 10)) leaves *= 10;
  cold_in_ms("skynet", [leaves] {
    channel result;
    boost::fibers::fiber root = post([&result, leaves] { skynet(result, 0, leaves); });
    check(result.value_pop() == leaves * (leaves - 1) / 2, "skynet: the sum of the ids");
    root.join();
  });
}

// A fiber for each call; the caller has a place for its result.
template <class Start>
std::int64_t fib(int n, Start start) {
  if (n < 2) return n;
  std::int64_t first = 0;
  std::int64_t second = 0;
  boost::fibers::fiber a = start([&first, n, start] { first = fib(n - 1, start); });
  boost::fibers::fiber b = start([&second, n, start] { second = fib(n - 2, start); });
  a.join();
  b.join();
  return first + second;
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

template <class Start>
void fib_workload(const settings& s, Start start) {
  // The number of calls grows with the result.
  int n = 27;
  while (n > 1 && plain_fib(n) > s.scaled(plain_fib(27))) --n;
  cold_in_ms("fib", [n, start] {
    std::int64_t result = 0;
    start([&result, n, start] { result = fib(n, start); }).join();
    check(result == plain_fib(n), "fib: the number");
  });
}

void quicksort(std::int64_t* first, std::int64_t* last) {
  constexpr std::ptrdiff_t sorted_in_place = 4'096;
  std::vector<boost::fibers::fiber> halves;
  while (last - first > sorted_in_place) {
    const std::int64_t a = *first;
    const std::int64_t b = first[(last - first) / 2];
    const std::int64_t c = last[-1];
    const std::int64_t pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
    // Hoare's partition: both sides are smaller than the whole, also with equal elements.
    std::int64_t* i = first;
    std::int64_t* j = last - 1;
    for (;; ++i, --j) {
      while (*i < pivot) ++i;
      while (pivot < *j) --j;
      if (i >= j) break;
      std::swap(*i, *j);
    }
    halves.push_back(post([first, j] { quicksort(first, j + 1); }));
    first = j + 1;
  }
  std::sort(first, last);
  join(halves);
}

void quicksort_workload(const settings& s) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(s.scaled(10'000'000)));
  std::mt19937_64 random(1);
  for (std::int64_t& number : numbers) number = static_cast<std::int64_t>(random());
  const stopwatch watch;
  quicksort(numbers.data(), numbers.data() + numbers.size());
  in_ms("quicksort", watch);
  check(std::is_sorted(numbers.begin(), numbers.end()), "quicksort: the order");
}

}  // namespace

void add_spawning(workloads& all) {
  const auto by_post = [](auto function) { return post(std::move(function)); };
  const auto by_dispatch = [](auto function) { return dispatch(std::move(function)); };
  all["spawn_join"] = [=](const settings& s) { spawn_join(s, by_dispatch); };
  all["spawn_join:post"] = [=](const settings& s) { spawn_join(s, by_post); };
  all["spawn_join_1"] = [=](const settings& s) { spawn_join_1(s, by_dispatch); };
  all["spawn_join_1:post"] = [=](const settings& s) { spawn_join_1(s, by_post); };
  all["yield"] = [](const settings& s) {
    warm("yield", s.scaled(1'000'000), "ns/op", [](std::int64_t n) { yield_in_turn(n, 2); });
  };
  all["yield_1000"] = [](const settings& s) {
    warm("yield_1000", s.scaled(4'000'000), "ns/op",
         [](std::int64_t n) { yield_in_turn(n, 1'000); });
  };
  all["skynet"] = skynet_workload;
  all["fib"] = [=](const settings& s) { fib_workload(s, by_dispatch); };
  all["fib:post"] = [=](const settings& s) { fib_workload(s, by_post); };
  all["quicksort"] = quicksort_workload;
}

}  // namespace bench
