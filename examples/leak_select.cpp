// Leak: a select without a way out waits on when nobody sends any more.
#include <cstdio>
#include <sstream>
#include <string>
#include <weft/error.hpp>
#include <weft/weft.hpp>

namespace {

// [leak]
// Wrong: when both sources fall silent, nothing ends this loop.
void collect(weft::recv_chan<int> left, weft::recv_chan<int> right, int& sum) {
  for (;;) {
    weft::select(weft::recv(left, [&](int n) { sum += n; }),
                 weft::recv(right, [&](int n) { sum += n; }));
  }
}
// [end]

// [right]
// Right: a case for the end. Or the sources are closed, and the loop ends when both have been.
void collect(const weft::context& ctx, weft::recv_chan<int> left, weft::recv_chan<int> right,
             int& sum) {
  while (weft::select(weft::recv(left, [&](int n) { sum += n; }),
                      weft::recv(right, [&](int n) { sum += n; }), weft::done(ctx)) != 2) {
  }
}
// [end]

}  // namespace

int main() {
  int sum = 0;
  weft::run([&] {
    const auto left = weft::make_chan<int>();
    const auto right = weft::make_chan<int>();
    auto [ctx, cancel] = weft::with_cancel({});
    auto collector = weft::spawn([&, ctx] { collect(ctx, left, right, sum); });
    left.send(1);
    right.send(2);
    cancel();
    collector.join();
  });
  std::printf("sum %d\n", sum);

  // [report]
  weft::options options;
  options.on_deadlock = weft::deadlock_policy::throw_in_main;  // else it ends the process
  try {
    weft::run(
        [&] {
          const auto left = weft::make_chan<int>();
          const auto right = weft::make_chan<int>();
          weft::wait_group collectors;
          collectors.add();
          weft::go({.name = "collector"}, [&] {
            collect(left, right, sum);
            collectors.done();
          });
          left.send(3);
          collectors.wait();
        },
        options);
  } catch (const weft::deadlock_error& e) {
    std::istringstream dump(e.what());
    for (std::string line; std::getline(dump, line);)
      if (line.find("fiber") != std::string::npos) std::printf("%s\n", line.c_str());
  }
  // [end]
  return 0;
}

// Output:
// sum 3
// ...
// fiber * [select]: collector
// ...
