// Workloads over channels and select.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "suite/bench.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"

using bench::settings;

namespace {

using numbers = weft::chan<std::int64_t>;

numbers make(std::size_t capacity = 0) { return weft::make_chan<std::int64_t>(capacity); }

// `pairs` producers send `n` numbers in all to as many consumers that range.
void flow(std::size_t capacity, std::int64_t n, std::int64_t pairs) {
  const numbers ch = make(capacity);
  weft::wait_group producers;
  weft::wait_group consumers;
  std::vector<std::int64_t> sums(static_cast<std::size_t>(pairs));
  for (std::int64_t p = 0; p < pairs; ++p) {
    const std::int64_t from = n * p / pairs;
    const std::int64_t to = n * (p + 1) / pairs;
    producers.go([&ch, from, to] {
      for (std::int64_t i = from; i < to; ++i) ch.send(i);
    });
    consumers.go([&ch, &sum = sums[static_cast<std::size_t>(p)]] {
      std::int64_t mine = 0;
      for (const std::int64_t i : ch) mine += i;
      sum = mine;
    });
  }
  producers.wait();
  ch.close();
  consumers.wait();
  std::int64_t sum = 0;
  for (const std::int64_t part : sums) sum += part;
  bench::check(sum == n * (n - 1) / 2, "channels: each number arrives once");
}

void flow_workload(const std::string& name, std::size_t capacity, std::int64_t n,
                   std::int64_t pairs) {
  bench::warm(name, n, "ns/item", [&](std::int64_t count) { flow(capacity, count, pairs); });
}

}  // namespace

WEFT_WORKLOAD(chan_pingpong_unbuf) {
  bench::warm("chan_pingpong_unbuf", s.scaled(2'000'000), "ns/hop", [](std::int64_t n) {
    const numbers there = make();
    const numbers back = make();
    const std::int64_t rounds = n / 2;
    weft::wait_group other;
    other.go([&] {
      for (const std::int64_t i : there) back.send(i + 1);
    });
    std::int64_t last = 0;
    for (std::int64_t i = 0; i < rounds; ++i) {
      there.send(last);
      last = back.recv().value();
    }
    there.close();
    other.wait();
    bench::check(last == rounds, "pingpong: each hop once");
  });
}

WEFT_WORKLOAD(chan_buf128_spsc) { flow_workload("chan_buf128_spsc", 128, s.scaled(5'000'000), 1); }
WEFT_WORKLOAD(chan_buf128_mpmc) { flow_workload("chan_buf128_mpmc", 128, s.scaled(5'000'000), 8); }
WEFT_WORKLOAD(chan_unbuf_spsc) { flow_workload("chan_unbuf_spsc", 0, s.scaled(2'000'000), 1); }
WEFT_WORKLOAD(chan_unbuf_mpmc) { flow_workload("chan_unbuf_mpmc", 0, s.scaled(2'000'000), 8); }

WEFT_WORKLOAD(chan_uncontended) {
  bench::warm("chan_uncontended", s.scaled(10'000'000), "ns/pair", [](std::int64_t n) {
    const numbers ch = make(1);
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      ch.send(i);
      sum += ch.recv().value();
    }
    bench::check(sum == n * (n - 1) / 2, "uncontended: what was sent");
  });
}

WEFT_WORKLOAD(select_default_miss) {
  const std::int64_t n = s.scaled(10'000'000);
  const numbers ch = make(1);
  std::int64_t misses = 0;
  const bench::stopwatch watch;
  for (std::int64_t i = 0; i < n; ++i) {
    weft::select(weft::recv(ch, [](std::int64_t) {}), weft::otherwise([&] { ++misses; }));
  }
  bench::per_operation("select_default_miss", watch, n, "ns/op");
  bench::check(misses == n, "select: nothing was there");
}

namespace {

template <std::size_t... I>
std::int64_t consume(const std::array<numbers, sizeof...(I)>& from, std::int64_t n,
                     std::index_sequence<I...>) {
  std::int64_t sum = 0;
  const auto add = [&sum](std::int64_t i) { sum += i; };
  for (std::int64_t i = 0; i < n; ++i) weft::select(weft::recv(from[I], add)...);
  return sum;
}

template <std::size_t Producers>
void select_over(std::int64_t n, std::size_t capacity) {
  constexpr auto producers = static_cast<std::int64_t>(Producers);
  const std::int64_t each = n / producers + 1;
  std::array<numbers, Producers> from;
  weft::wait_group group;
  for (numbers& ch : from) {
    ch = make(capacity);
    group.go([&ch, each] {
      for (std::int64_t i = 0; i < each; ++i) ch.send(i);
    });
  }
  const std::int64_t sum = consume(from, each * producers, std::make_index_sequence<Producers>{});
  group.wait();
  bench::check(sum == producers * (each * (each - 1) / 2), "select: each number arrives once");
}

template <std::size_t Producers>
void select_workload(const std::string& name, const settings& s, std::size_t capacity) {
  bench::warm(name, s.scaled(2'000'000), "ns/item",
              [capacity](std::int64_t n) { select_over<Producers>(n, capacity); });
}

}  // namespace

WEFT_WORKLOAD(select_2) { select_workload<2>("select_2", s, 0); }
WEFT_WORKLOAD(select_2_buf128) { select_workload<2>("select_2_buf128", s, 128); }
WEFT_WORKLOAD(select_8) { select_workload<8>("select_8", s, 0); }
WEFT_WORKLOAD(select_8_buf128) { select_workload<8>("select_8_buf128", s, 128); }

namespace {

// Passes on what is no multiple of the first number it gets.
void filter(const numbers& in, const numbers& out, std::int64_t prime) {
  while (const std::optional<std::int64_t> i = in.recv()) {
    if (*i % prime != 0) out.send(*i);
  }
}

// The chain ends with the process: the generator runs on until nobody takes its numbers.
std::int64_t nth_prime(std::int64_t n) {
  numbers ch = make();
  weft::go([ch] {
    for (std::int64_t i = 2;; ++i) ch.send(i);
  });
  std::int64_t prime = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    prime = ch.recv().value();
    const numbers next = make();
    weft::go([in = ch, next, prime] { filter(in, next, prime); });
    ch = next;
  }
  return prime;
}

bool is_prime(std::int64_t number) {
  for (std::int64_t i = 2; i * i <= number; ++i)
    if (number % i == 0) return false;
  return number > 1;
}

}  // namespace

WEFT_WORKLOAD(sieve) {
  const std::int64_t n = s.scaled(2'000);
  const bench::stopwatch watch;
  const std::int64_t prime = nth_prime(n);
  bench::in_ms("sieve", watch);
  bench::check(n != 2'000 || prime == 17'389, "sieve: the 2000th prime");
  bench::check(is_prime(prime), "sieve: a prime");
}

WEFT_WORKLOAD(threadring) {
  constexpr std::size_t fibers = 503;
  bench::warm("threadring", s.scaled(1'000'000), "ns/hop", [](std::int64_t n) {
    std::vector<numbers> ring(fibers);
    for (numbers& ch : ring) ch = make();
    const numbers end = make();
    weft::wait_group group;
    for (std::size_t f = 0; f < fibers; ++f) {
      group.go([&in = ring[f], &out = ring[(f + 1) % fibers], &end, f] {
        for (const std::int64_t left : in) {
          if (left == 0) {
            end.send(static_cast<std::int64_t>(f));
          } else {
            out.send(left - 1);
          }
        }
      });
    }
    ring[0].send(n);
    const std::int64_t last = end.recv().value();
    for (const numbers& ch : ring) ch.close();
    group.wait();
    bench::check(last == n % static_cast<std::int64_t>(fibers), "threadring: who has it last");
  });
}
