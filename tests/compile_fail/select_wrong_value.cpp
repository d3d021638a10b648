// The value of a send case must fit the channel.
// expect: can't be made into the channel's element type
#include "weft/select.hpp"

struct other {};

void f(const weft::chan<int>& c) { weft::select(weft::send(c, other{})); }
