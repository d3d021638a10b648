// The other shared object: sums up in a fiber what comes out of the channel.
#include "objects.hpp"

int collect(weft::chan<int> numbers) {
  return weft::spawn([numbers] {
           if (weft::runtime::current() == nullptr) return -1;
           int sum = 0;
           while (auto n = numbers.recv()) sum += *n;
           return sum;
         })
      .join();
}
