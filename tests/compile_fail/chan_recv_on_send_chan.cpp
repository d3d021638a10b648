// The sending end of a channel does not receive.
// expect: no member named
#include "weft/chan.hpp"

void f(const weft::send_chan<int>& c) { (void)c.recv(); }
