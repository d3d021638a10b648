// Runs a test's body under virtual time, in seeded runs and in bubbles: the clock jumps when every
// fiber is blocked.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/run.hpp"
#include "weft/runtime.hpp"
#include "weft/testing.hpp"
#include "weft/time.hpp"

namespace test {

// As the main fiber, once for each of a few seeds, and as the first one of a bubble. No fiber may
// be left but `leaves` that the body leaves blocked on purpose, which a bubble would call a
// deadlock.
template <class F>
void run_in_virtual_time(F body, std::size_t leaves = 0) {
  for (const std::uint64_t seed : {1U, 7U, 42U}) {
    INFO("seed: " << seed);
    weft::options options;
    options.seed = seed;
    if (leaves != 0) options.on_exit = weft::exit_policy::unwind;
    weft::run(
        [&] {
          body();
          until([&] { return weft::num_fibers() <= 1 + leaves; },
                "only the expected fibers are left");
          CHECK(weft::num_fibers() == 1 + leaves);
        },
        options);
  }
  if (leaves != 0) return;
  for (const unsigned procs : {1U, 2U, 4U}) {
    INFO("in a bubble, procs: " << procs);
    weft::options options;
    options.procs = procs;
    weft::run([&] { weft::testing::bubble(body); }, options);
  }
}

// How much virtual time has passed.
class stopwatch {
 public:
  [[nodiscard]] weft::clock::duration elapsed() const { return weft::clock::now() - start_; }
  [[nodiscard]] weft::clock::time_point start() const { return start_; }

 private:
  weft::clock::time_point start_ = weft::clock::now();
};

// So late at most is what happens soon after `d`: 10 times the time and 100 ms, on a loaded
// machine. Sanitizers slow everything down.
inline weft::clock::duration soon(weft::clock::duration d) {
  return (10 * d + std::chrono::milliseconds(100)) * (sanitized ? 10 : 1);
}

}  // namespace test
