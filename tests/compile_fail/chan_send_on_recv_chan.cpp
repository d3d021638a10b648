// The receiving end of a channel does not send.
// expect: no member named
#include "weft/chan.hpp"

void f(const weft::recv_chan<int>& c) { c.send(1); }
