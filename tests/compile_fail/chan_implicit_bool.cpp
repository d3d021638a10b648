// A channel does not turn into a number by itself.
// expect: const weft::
// expect: chan<int>
#include "weft/chan.hpp"

int f(const weft::chan<int>& c) { return c + 1; }
