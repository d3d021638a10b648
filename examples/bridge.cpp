// Bridge: a stream of streams, read as one.
#include <cstdio>
#include <utility>
#include <weft/weft.hpp>

namespace {

// [bridge]
// One stream after the other, each to its end.
template <class T>
weft::recv_chan<T> bridge(const weft::context& ctx, weft::recv_chan<weft::recv_chan<T>> streams) {
  const auto out = weft::make_chan<T>();
  weft::go([ctx, streams, out] {
    std::error_code canceled;
    while (const auto stream = streams.recv(ctx, canceled)) {
      while (auto value = stream->recv(ctx, canceled)) {
        if (!out.send(ctx, std::move(*value), canceled)) break;
      }
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
    // Pages of a listing: each is a stream of its own, made when the one before is read.
    const auto pages = weft::make_chan<weft::recv_chan<int>>();
    weft::go([pages] {
      for (int page = 0; page < 3; ++page) {
        const auto entries = weft::make_chan<int>(2);
        entries.send(10 * page);
        entries.send(10 * page + 1);
        entries.close();
        pages.send(entries);
      }
      pages.close();
    });
    for (const int entry : bridge<int>(ctx, pages)) std::printf("%d\n", entry);
    return 0;
  });
}

// Output:
// 0
// 1
// 10
// 11
// 20
// 21
