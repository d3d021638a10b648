// A program of somebody who uses weft: one fiber, one channel.
#include <cstdio>
#include <weft/weft.hpp>

int main() {
  return weft::run([] {
    auto answers = weft::make_chan<int>();
    weft::go([answers] { answers.send(42); });
    std::printf("weft %s: %d\n", WEFT_VERSION, answers.recv().value_or(0));
    return 0;
  });
}
