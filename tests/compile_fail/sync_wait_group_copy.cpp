// A wait_group is what others wait at: it is not copied.
// expect: deleted
// shows: [SY-01]
#include "weft/sync.hpp"

int main() {
  weft::wait_group one;
  weft::wait_group two = one;
}
