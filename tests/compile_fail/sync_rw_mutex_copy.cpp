// A rw_mutex is what others wait at: it is not copied.
// expect: deleted
// shows: [SY-01]
#include "weft/sync.hpp"

int main() {
  weft::rw_mutex one;
  weft::rw_mutex two = one;
}
