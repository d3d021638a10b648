// What tests of bubbles share: running a body in bubbles, and speaking with the outside.
#pragma once

#include <exception>
#include <string>

#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/testing.hpp"

namespace test {

// Fibers of a bubble may run at once; a test body that is a fiber's reports to the outside by this.
template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

// Passed on between a bubble and outside: not durable.
class baton {
 public:
  void release() const { passed_.send({}); }
  void acquire() const { (void)passed_.recv(); }

 private:
  weft::chan<weft::unit> passed_ = weft::make_chan<weft::unit>(1);
};

// Runs `body` as the first fiber of a bubble: on runtimes with 1, 2 and 4 processors, and from a
// plain thread without one.
template <class F>
void in_bubbles(F body) {
  run_with_procs([&] { weft::testing::bubble(body); });
  weft::testing::bubble(body);
}

}  // namespace test
