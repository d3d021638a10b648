// std::exit from a fiber: static objects end on its stack while other fibers run on.
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "weft/weft.hpp"

namespace {

const weft::chan<int> numbers = weft::make_chan<int>();
std::atomic<bool> goes_on{true};

// Ends before the channel does, and still needs the other fibers.
struct talks_at_end {
  ~talks_at_end() {
    std::printf("another fiber sent %d\n", numbers.recv().value_or(0));
    goes_on = false;
  }
};
const talks_at_end at_end;

}  // namespace

int main() {
  weft::run([] {
    weft::go([] {
      while (goes_on) weft::yield();
    });
    weft::go([] { numbers.send(7); });
    std::puts("a fiber calls exit");
    std::exit(0);
  });
}

// Output:
// a fiber calls exit
// another fiber sent 7
