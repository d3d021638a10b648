// Select takes cases only.
// expect: no matching function for call to
#include "weft/select.hpp"

void f(const weft::chan<int>& c) { weft::select(weft::recv(c), 5); }
