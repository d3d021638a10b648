// Values of a fiber_local are made by themselves: they need a default constructor or a maker.
// expect: constraints not satisfied
// shows: [SC-28]
#include "weft/runtime.hpp"

struct needs_argument {
  explicit needs_argument(int n) : value(n) {}
  int value;
};

weft::fiber_local<needs_argument> local;

int main() {}
