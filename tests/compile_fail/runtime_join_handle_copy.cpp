// A join handle has one owner: it moves and is not copied.
// expect: deleted
// shows: [SC-17]
#include "weft/runtime.hpp"

int main() {
  weft::run([] {
    weft::join_handle<int> h = weft::spawn([] { return 1; });
    weft::join_handle<int> other = h;
    return other.join();
  });
}
