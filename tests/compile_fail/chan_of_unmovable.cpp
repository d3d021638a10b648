// The element type of a channel must be movable.
// expect: T must be movable
#include "weft/chan.hpp"

struct rock {
  rock() = default;
  rock(const rock&) = delete;
};

void f() { (void)weft::make_chan<rock>(); }
