// What the plugin gives to its hosts.
#pragma once

namespace plugin {

// In a runtime of the host: starts n fibers and gives the sum of the numbers below n.
using sum_of = int (*)(int n);
// The same in a runtime of its own, from a plain thread.
using sum_alone = int (*)(int n);
// Starts a fiber that parks until stop_waiting.
using start_waiting = void (*)();
using stop_waiting = void (*)();

}  // namespace plugin
