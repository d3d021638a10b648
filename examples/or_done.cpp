// Or-done: a stream that ends when its source ends or when nobody wants more, whichever is first.
#include <cstdio>
#include <utility>
#include <weft/weft.hpp>

namespace {

// [or_done]
// For code that takes a channel and knows no context. Where you write the loop yourself you need no
// further fiber: `while (auto value = in.recv(ctx, ec))` does the same.
template <class T>
weft::recv_chan<T> or_done(const weft::context& ctx, weft::recv_chan<T> in) {
  const auto out = weft::make_chan<T>();
  weft::go([ctx, in, out] {
    std::error_code canceled;
    while (auto value = in.recv(ctx, canceled)) {
      if (!out.send(ctx, std::move(*value), canceled)) break;
    }
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
    weft::go([ctx, numbers] {  // would never end by itself
      std::error_code canceled;
      for (int n = 1; numbers.send(ctx, n, canceled); ++n) {
      }
    });

    int last = 0;
    for (const int n : or_done<int>(ctx, numbers)) {
      last = n;
      if (n == 10) {
        cancel();
        break;
      }
    }
    std::printf("read up to %d\n", last);
    return 0;
  });
}

// Output:
// read up to 10
