// Channels of different element types do not compare.
// expect: chan<long
#include "weft/chan.hpp"

bool f(const weft::chan<int>& a, const weft::chan<long>& b) { return a == b; }
