// Prime sieve: a chain of fibers, each of which filters the multiples of one prime.
#include <cstdio>
#include <weft/weft.hpp>

namespace {

// [filter]
// Passes on what `prime` does not divide. It ends when nobody wants more.
void filter(const weft::context& ctx, int prime, weft::recv_chan<int> in,
            weft::send_chan<int> out) {
  std::error_code canceled;
  while (const auto n = in.recv(ctx, canceled)) {
    if (*n % prime != 0 && !out.send(ctx, *n, canceled)) return;
  }
}
// [end]

}  // namespace

int main() {
  weft::options options;
  options.on_exit = weft::exit_policy::wait;  // the filters have ended when run returns
  return weft::run(
      [] {
        const auto [ctx, cancel] = weft::with_cancel({});
        weft::chan<int> source = weft::make_chan<int>();
        weft::go([ctx, source] {
          std::error_code canceled;
          for (int n = 2; source.send(ctx, n, canceled); ++n) {
          }
        });
        for (int i = 0; i < 15; ++i) {
          const int prime = *source.recv();
          std::printf("%d\n", prime);
          const weft::chan<int> rest = weft::make_chan<int>();
          weft::go([ctx, prime, source, rest] { filter(ctx, prime, source, rest); });
          source = rest;
        }
        return 0;  // `cancel` goes, and with it every fiber of the chain
      },
      options);
}

// Output:
// 2
// 3
// 5
// 7
// 11
// 13
// 17
// 19
// 23
// 29
// 31
// 37
// 41
// 43
// 47
