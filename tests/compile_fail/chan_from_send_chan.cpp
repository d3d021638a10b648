// An end does not turn back into the channel.
// expect: send_chan<int>
#include "weft/chan.hpp"

weft::chan<int> f(const weft::send_chan<int>& c) { return c; }
