// A fiber's callable is called without arguments.
// expect: constraints not satisfied
// shows: [SC-01]
#include "weft/runtime.hpp"

int main() {
  weft::run([] { weft::go([](int) {}); });
}
