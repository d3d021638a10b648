// A mutex is what others wait at: it is not copied.
// expect: deleted
// shows: [SY-01]
#include "weft/sync.hpp"

int main() {
  weft::mutex one;
  weft::mutex two = one;
}
