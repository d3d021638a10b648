// What blocking runs is called without arguments.
// expect: no matching function for call to
// shows: [SC-12]
#include "weft/runtime.hpp"

int main() {
  weft::run([] { weft::blocking([](int fd) { return fd; }); });
}
