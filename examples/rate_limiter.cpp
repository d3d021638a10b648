// Rate limiter: a token bucket, which lets a burst pass and then one request for each interval.
#include <chrono>
#include <cstdio>
#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

// [bucket]
// The bucket is a channel: its capacity is the burst, a ticker fills it, and who finds no token in
// it waits. It is filled as long as `ctx` lasts.
class token_bucket {
 public:
  token_bucket(const weft::context& ctx, std::size_t burst, std::chrono::nanoseconds interval)
      : tokens_(weft::make_chan<weft::unit>(burst)) {
    while (tokens_.try_send({})) {
    }
    weft::go([ctx, tokens = tokens_, interval] {
      const weft::ticker ticks(interval);
      while (weft::select(weft::recv(ticks.c()), weft::done(ctx)) == 0) {
        static_cast<void>(tokens.try_send({}));  // full: the token is lost
      }
    });
  }

  void take(const weft::context& ctx) { static_cast<void>(tokens_.recv(ctx)); }
  [[nodiscard]] bool try_take() { return tokens_.try_recv().has_value(); }

 private:
  weft::chan<weft::unit> tokens_;
};
// [end]

}  // namespace

int main() {
  // With a seed the clock is virtual: it jumps whenever everybody waits.
  return weft::run(
      [] {
        const auto [ctx, cancel] = weft::with_cancel({});
        token_bucket bucket(ctx, 3, 100ms);
        const auto start = weft::clock::now();
        for (int i = 1; i <= 6; ++i) {
          bucket.take(ctx);
          const auto passed = weft::clock::now() - start;
          std::printf("request %d after %3lld ms\n", i, static_cast<long long>(passed / 1ms));
        }
        std::printf("one more now: %s\n", bucket.try_take() ? "yes" : "no");
        return 0;
      },
      {.seed = 1});
}

// Output:
// request 1 after   0 ms
// request 2 after   0 ms
// request 3 after   0 ms
// request 4 after 100 ms
// request 5 after 200 ms
// request 6 after 300 ms
// one more now: no
