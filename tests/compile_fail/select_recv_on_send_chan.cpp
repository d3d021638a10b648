// A receive case needs an end that receives.
// expect: no matching function for call to
#include "weft/select.hpp"

void f(const weft::send_chan<int>& c) { weft::select(weft::recv(c)); }
