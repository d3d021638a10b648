// Pipeline: stages joined by channels, some workers in the middle, and a deadline for all of it.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <utility>
#include <weft/weft.hpp>

namespace {

using result = std::pair<std::uint64_t, unsigned>;  // a number and its steps

// How often a number has to be halved, or tripled and increased by one, until it is 1.
unsigned collatz_steps(std::uint64_t n) {
  unsigned steps = 0;
  for (; n != 1; ++steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  return steps;
}

// [stages]
// The first stage. It ends early when the context is done.
void count_to(const weft::context& ctx, std::uint64_t last, weft::send_chan<std::uint64_t> out) {
  std::error_code canceled;
  for (std::uint64_t n = 1; n <= last && out.send(ctx, n, canceled); ++n) {
  }
  out.close();
}

// The second stage: a few workers on the same two channels. The last one out closes the door.
void work(const weft::context& ctx, unsigned workers, weft::recv_chan<std::uint64_t> in,
          weft::send_chan<result> out) {
  weft::wait_group group;
  for (unsigned i = 0; i < workers; ++i) {
    group.go([&] {
      std::error_code canceled;
      while (const auto n = in.recv(ctx, canceled)) out.send({*n, collatz_steps(*n)});
    });
  }
  group.wait();
  out.close();
}
// [end]

}  // namespace

int main() {
  return weft::run([] {
    const auto [ctx, cancel] = weft::with_timeout({}, std::chrono::minutes(1));
    const auto input = weft::make_chan<std::uint64_t>(16);
    const auto output = weft::make_chan<result>(16);
    weft::go([ctx, input] { count_to(ctx, 10'000, input); });
    weft::go([ctx, input, output] { work(ctx, 4, input, output); });

    std::map<unsigned, std::uint64_t> first_with;  // the results come in any order
    for (const auto& [n, steps] : output) {
      const auto [at, is_new] = first_with.try_emplace(steps, n);
      if (!is_new && n < at->second) at->second = n;
    }
    const auto [steps, n] = *first_with.rbegin();
    std::printf("longest below 10001: %llu, in %u steps\n", static_cast<unsigned long long>(n),
                steps);
    return 0;
  });
}

// Output:
// longest below 10001: 6171, in 261 steps
