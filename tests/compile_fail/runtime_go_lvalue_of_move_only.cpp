// A callable that can only be moved is not copied into a fiber by accident.
// expect: pass a movable-only one by
// shows: [SC-01]
#include <memory>

#include "weft/runtime.hpp"

int main() {
  weft::run([] {
    auto f = [p = std::make_unique<int>(1)] { return *p; };
    weft::go(f);
  });
}
