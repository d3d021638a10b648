// The element type of a channel must be an object type.
// expect: T must be an object type
#include "weft/chan.hpp"

void f() { (void)weft::make_chan<int&>(); }
