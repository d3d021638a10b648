// Tee: each value of one stream goes to two, in whatever order they take it.
#include <cstdio>
#include <utility>
#include <weft/weft.hpp>

namespace {

// [tee]
// Both readers get every value; the slower one sets the pace. A send that has happened is taken out
// of the next select by making its channel nil.
template <class T>
std::pair<weft::recv_chan<T>, weft::recv_chan<T>> tee(const weft::context& ctx,
                                                      weft::recv_chan<T> in) {
  const auto left = weft::make_chan<T>();
  const auto right = weft::make_chan<T>();
  weft::go([ctx, in, left, right] {
    std::error_code canceled;
    while (const auto value = in.recv(ctx, canceled)) {
      weft::send_chan<T> first = left;
      weft::send_chan<T> second = right;
      while (first || second) {
        const std::size_t chosen =
            weft::select(weft::send(first, *value), weft::send(second, *value), weft::done(ctx));
        if (chosen == 2) break;
        (chosen == 0 ? first : second) = {};
      }
    }
    left.close();
    right.close();
  });
  return {left, right};
}
// [end]

}  // namespace

int main() {
  return weft::run([] {
    const auto [ctx, cancel] = weft::with_cancel({});
    const auto numbers = weft::make_chan<int>();
    weft::go([numbers] {
      for (int n = 1; n <= 10; ++n) numbers.send(n);
      numbers.close();
    });
    const auto [left, right] = tee<int>(ctx, numbers);
    auto sum = weft::spawn([left] {
      int all = 0;
      for (const int n : left) all += n;
      return all;
    });
    int product = 1;
    for (const int n : right) product *= n;
    std::printf("sum %d, product %d\n", sum.join(), product);
    return 0;
  });
}

// Output:
// sum 55, product 3628800
