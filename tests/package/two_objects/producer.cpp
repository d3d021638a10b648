// One shared object: starts a fiber on the runtime of whoever calls, which sends into a channel.
#include "objects.hpp"

weft::chan<int> produce(int count) {
  auto numbers = weft::make_chan<int>(2);
  weft::go([numbers, count] {
    for (int i = 0; i < count; ++i) numbers.send(i);
    numbers.close();
  });
  return numbers;
}
