// A pin belongs to its scope in its fiber: it does not move.
// expect: deleted
// shows: [SC-23]
#include <utility>

#include "weft/runtime.hpp"

int main() {
  weft::run([] {
    weft::thread_pin pin;
    weft::thread_pin other = std::move(pin);
  });
}
