// A semaphore is what others wait at: it is not copied.
// expect: deleted
// shows: [SY-01]
#include "weft/sync.hpp"

int main() {
  weft::semaphore one{1};
  weft::semaphore two = one;
}
