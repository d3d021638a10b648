// Runtimes in static storage: made before main, ended after it, each as its policy says.
#include <atomic>
#include <cstdio>
#include <thread>

#include "weft/weft.hpp"

namespace {

struct farewell {
  const char* text;
  ~farewell() { std::puts(text); }
};

weft::options with(weft::exit_policy on_exit, bool own_threads) {
  weft::options o;
  o.on_exit = on_exit;
  o.own_threads = own_threads;
  return o;
}

// Ended in the opposite order. What the fibers use was made before their runtimes.
const farewell last{"the first object goes last"};
const weft::chan<int> nobody_sends = weft::make_chan<int>();
std::atomic<int> started{0};
weft::runtime abandons(with(weft::exit_policy::abandon, true));
weft::runtime unwinds(with(weft::exit_policy::unwind, true));
weft::runtime waits(with(weft::exit_policy::wait, true));
// Ends before `waits`, whose fiber it lets go on.
struct gate {
  weft::chan<int> ch = weft::make_chan<int>();
  ~gate() { ch.close(); }
};
const gate opened_at_end;
weft::runtime unwinds_in_loop(with(weft::exit_policy::unwind, false));

void park(const char* text) {
  const farewell gone{text};
  ++started;
  static_cast<void>(nobody_sends.recv());
}

}  // namespace

int main() {
  abandons.go([] { park("this is never printed"); });
  unwinds.go([] { park("a fiber is unwound"); });
  unwinds_in_loop.go([] { park("a fiber of the loop is unwound"); });
  waits.go([ch = opened_at_end.ch] {
    static_cast<void>(ch.recv());
    std::puts("a fiber comes to its end");
  });
  while (unwinds_in_loop.run_once(weft::clock::now())) {
  }
  while (started < 3) std::this_thread::yield();
  static weft::runtime late(with(weft::exit_policy::abandon, true));
  late.block_on([] { std::puts("main returns"); });
  return 0;
}

// Output:
// main returns
// a fiber of the loop is unwound
// a fiber comes to its end
// a fiber is unwound
// the first object goes last
