// The receiving end of a channel does not close it.
// expect: no member named
#include "weft/chan.hpp"

void f(const weft::recv_chan<int>& c) { c.close(); }
