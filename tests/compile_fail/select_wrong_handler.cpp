// The handler of a receive case takes the value, an optional or nothing.
// expect: the handler must take std::optional<T>, T or nothing
#include "weft/select.hpp"

struct other {};

void f(const weft::chan<int>& c) {
  weft::select(weft::recv(c, [](other) {}));
}
