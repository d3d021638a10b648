// A movable-only value must be moved into a channel.
// expect: rvalue
#include <memory>

#include "weft/chan.hpp"

void f(const weft::chan<std::unique_ptr<int>>& c, std::unique_ptr<int>& v) { c.send(v); }
