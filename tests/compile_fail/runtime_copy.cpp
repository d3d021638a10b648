// A runtime owns threads and fibers: it is not copied.
// expect: deleted
// shows: [SC-36]
#include "weft/runtime.hpp"

int main() {
  weft::runtime one;
  weft::runtime two = one;
}
