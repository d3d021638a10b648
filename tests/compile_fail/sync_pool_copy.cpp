// A pool is what others wait at: it is not copied.
// expect: deleted
// shows: [SY-01]
#include "weft/sync.hpp"

int main() {
  weft::pool<int> one;
  weft::pool<int> two = one;
}
