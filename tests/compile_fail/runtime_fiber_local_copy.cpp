// A fiber_local is a place, not a value: it is not copied.
// expect: deleted
// shows: [SC-28]
#include "weft/runtime.hpp"

int main() {
  weft::fiber_local<int> one;
  weft::fiber_local<int> two = one;
}
