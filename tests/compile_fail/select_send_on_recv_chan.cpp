// A send case needs an end that sends.
// expect: no matching function for call to
#include "weft/select.hpp"

void f(const weft::recv_chan<int>& c) { weft::select(weft::send(c, 1)); }
