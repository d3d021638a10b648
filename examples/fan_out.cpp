// Fan-out, fan-in: workers share one source, and what each of them gives is merged into one stream.
#include <cstdio>
#include <utility>
#include <vector>
#include <weft/weft.hpp>

namespace {

// [fan_out]
// Fan-out: who is free takes the next number; a channel may have any number of receivers.
weft::recv_chan<int> square(const weft::context& ctx, weft::recv_chan<int> in) {
  const auto out = weft::make_chan<int>();
  weft::go([ctx, in, out] {
    std::error_code canceled;
    while (const auto n = in.recv(ctx, canceled)) {
      if (!out.send(ctx, *n * *n, canceled)) break;
    }
    out.close();
  });
  return out;
}
// [end]

// [fan_in]
// Fan-in: one fiber for each source; the channel is closed when the last of them has ended.
template <class T>
weft::recv_chan<T> merge(const weft::context& ctx, std::vector<weft::recv_chan<T>> sources) {
  const auto out = weft::make_chan<T>();
  weft::go([ctx, sources = std::move(sources), out] {
    weft::wait_group readers;
    for (const auto& in : sources) {
      readers.go([&ctx, &in, &out] {
        std::error_code canceled;
        while (auto value = in.recv(ctx, canceled)) {
          if (!out.send(ctx, std::move(*value), canceled)) return;
        }
      });
    }
    readers.wait();
    out.close();
  });
  return out;
}
// [end]

}  // namespace

int main() {
  return weft::run([] {
    const auto [ctx, cancel] = weft::with_cancel({});
    const auto numbers = weft::make_chan<int>();
    weft::go([numbers] {
      for (int n = 1; n <= 100; ++n) numbers.send(n);
      numbers.close();
    });
    std::vector<weft::recv_chan<int>> squares;
    for (int i = 0; i < 4; ++i) squares.push_back(square(ctx, numbers));

    int sum = 0;
    for (const int n : merge(ctx, std::move(squares))) sum += n;
    std::printf("sum of the squares up to 100: %d\n", sum);
    return 0;
  });
}

// Output:
// sum of the squares up to 100: 338350
