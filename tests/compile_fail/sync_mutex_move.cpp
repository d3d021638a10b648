// Nor is a mutex moved: who waits for it would wait at the old place.
// expect: deleted
// shows: [SY-01]
#include <utility>

#include "weft/sync.hpp"

int main() {
  weft::mutex one;
  weft::mutex two = std::move(one);
}
