// Workloads over channels. A buffered channel has room for one less than its capacity, which is a
// power of two.
#include <cstddef>

#include "bench.hpp"

namespace bench {

namespace {

using unbuffered = boost::fibers::unbuffered_channel<std::int64_t>;
using buffered = boost::fibers::buffered_channel<std::int64_t>;

constexpr auto success = boost::fibers::channel_op_status::success;

void pingpong(std::int64_t n) {
  unbuffered there;
  unbuffered back;
  const std::int64_t rounds = n / 2;
  boost::fibers::fiber other = post([&] {
    for (std::int64_t i : there) back.push(i + 1);
  });
  std::int64_t last = 0;
  for (std::int64_t i = 0; i < rounds; ++i) {
    there.push(last);
    last = back.value_pop();
  }
  there.close();
  other.join();
  check(last == rounds, "pingpong: each hop once");
}

// `pairs` producers push `n` numbers in all to as many consumers that range.
template <class Channel>
void flow(Channel& channel, std::int64_t n, std::int64_t pairs) {
  std::vector<std::int64_t> sums(static_cast<std::size_t>(pairs));
  std::vector<boost::fibers::fiber> producers;
  std::vector<boost::fibers::fiber> consumers;
  for (std::int64_t p = 0; p < pairs; ++p) {
    producers.push_back(post([&channel, from = n * p / pairs, to = n * (p + 1) / pairs] {
      for (std::int64_t i = from; i < to; ++i) channel.push(i);
    }));
    consumers.push_back(post([&channel, &sum = sums[static_cast<std::size_t>(p)]] {
      std::int64_t mine = 0;
      for (std::int64_t i = 0; channel.pop(i) == success;) mine += i;
      sum = mine;
    }));
  }
  join(producers);
  channel.close();
  join(consumers);
  std::int64_t sum = 0;
  for (const std::int64_t part : sums) sum += part;
  check(sum == n * (n - 1) / 2, "channels: each number arrives once");
}

body buffered_flow(const char* name, std::int64_t pairs) {
  return [name, pairs](const settings& s) {
    warm(name, s.scaled(5'000'000), "ns/item", [pairs](std::int64_t n) {
      buffered channel(128);
      flow(channel, n, pairs);
    });
  };
}

body unbuffered_flow(const char* name, std::int64_t pairs) {
  return [name, pairs](const settings& s) {
    warm(name, s.scaled(2'000'000), "ns/item", [pairs](std::int64_t n) {
      unbuffered channel;
      flow(channel, n, pairs);
    });
  };
}

void uncontended(const settings& s) {
  warm("chan_uncontended", s.scaled(10'000'000), "ns/pair", [](std::int64_t n) {
    buffered channel(2);
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      channel.push(i);
      std::int64_t received = 0;
      channel.pop(received);
      sum += received;
    }
    check(sum == n * (n - 1) / 2, "uncontended: what was sent");
  });
}

// Passes on what is no multiple of the first number it got.
void filter(unbuffered& in, unbuffered& out, std::int64_t prime) {
  for (std::int64_t i = 0; in.pop(i) == success;) {
    if (i % prime != 0 && out.push(i) != success) return;
  }
}

bool is_prime(std::int64_t number) {
  for (std::int64_t i = 2; i * i <= number; ++i)
    if (number % i == 0) return false;
  return number > 1;
}

void sieve(const settings& s) {
  const std::int64_t n = s.scaled(2'000);
  std::vector<std::unique_ptr<unbuffered>> chain;
  std::vector<boost::fibers::fiber> fibers;
  const stopwatch watch;
  chain.push_back(std::make_unique<unbuffered>());
  fibers.push_back(post([&first = *chain.front()] {
    for (std::int64_t i = 2; first.push(i) == success;) ++i;
  }));
  std::int64_t prime = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    unbuffered& in = *chain.back();
    prime = in.value_pop();
    chain.push_back(std::make_unique<unbuffered>());
    fibers.push_back(post([&in, &out = *chain.back(), prime] { filter(in, out, prime); }));
  }
  in_ms("sieve", watch);
  check(n != 2'000 || prime == 17'389, "sieve: the 2000th prime");
  check(is_prime(prime), "sieve: a prime");
  for (const std::unique_ptr<unbuffered>& channel : chain) channel->close();
  join(fibers);
}

void threadring(std::int64_t n) {
  constexpr std::size_t size = 503;
  std::vector<unbuffered> ring(size);
  unbuffered end;
  std::vector<boost::fibers::fiber> fibers;
  for (std::size_t f = 0; f < size; ++f) {
    fibers.push_back(post([&in = ring[f], &out = ring[(f + 1) % size], &end, f] {
      for (std::int64_t left = 0; in.pop(left) == success;) {
        if (left == 0) {
          end.push(static_cast<std::int64_t>(f));
        } else {
          out.push(left - 1);
        }
      }
    }));
  }
  ring[0].push(n);
  const std::int64_t last = end.value_pop();
  for (unbuffered& channel : ring) channel.close();
  join(fibers);
  check(last == n % static_cast<std::int64_t>(size), "threadring: who has it last");
}

}  // namespace

void add_channels(workloads& all) {
  all["chan_pingpong_unbuf"] = [](const settings& s) {
    warm("chan_pingpong_unbuf", s.scaled(2'000'000, 2), "ns/hop", pingpong);
  };
  all["chan_buf128_spsc"] = buffered_flow("chan_buf128_spsc", 1);
  all["chan_buf128_mpmc"] = buffered_flow("chan_buf128_mpmc", 8);
  all["chan_unbuf_spsc"] = unbuffered_flow("chan_unbuf_spsc", 1);
  all["chan_unbuf_mpmc"] = unbuffered_flow("chan_unbuf_mpmc", 8);
  all["chan_uncontended"] = uncontended;
  all["select_default_miss"] = [](const settings& s) {
    const std::int64_t n = s.scaled(10'000'000);
    buffered channel(2);
    std::int64_t misses = 0;
    const stopwatch watch;
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t received = 0;
      if (channel.try_pop(received) == boost::fibers::channel_op_status::empty) ++misses;
    }
    per_operation("select_default_miss", watch, n, "ns/op");
    check(misses == n, "select: nothing was there");
  };
  all["sieve"] = sieve;
  all["threadring"] = [](const settings& s) {
    warm("threadring", s.scaled(1'000'000), "ns/hop", threadring);
  };
}

}  // namespace bench
