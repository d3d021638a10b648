// Driving a runtime without threads of its own, as a foreign event loop does.
#pragma once

#include <poll.h>

#include <chrono>
#include <stdexcept>

#include "support/run.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

namespace test {

inline weft::options embedded(weft::exit_policy on_exit = weft::exit_policy::abandon) {
  weft::options o;
  o.own_threads = false;
  o.on_exit = on_exit;
  return o;
}

inline bool readable(int fd, std::chrono::milliseconds limit) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, static_cast<int>(limit.count())) == 1 && (p.revents & POLLIN) != 0;
}

// One turn that does not wait.
inline bool turn(weft::runtime& rt) { return rt.run_once(weft::clock::now()); }

inline void run_until_idle(weft::runtime& rt) {
  while (turn(rt)) {
  }
}

template <class F>
bool is_misuse(F f) {
  try {
    f();
  } catch (const std::logic_error&) {
    return true;
  }
  return false;
}

// As a foreign loop does: waits on the descriptor, then gives one turn.
template <class Predicate>
bool drive(weft::runtime& rt, Predicate done) {
  const weft::clock::time_point limit = weft::clock::now() + patience;
  while (!done() && weft::clock::now() < limit) {
    if (readable(rt.poll_fd(), std::chrono::milliseconds(100))) turn(rt);
  }
  return done();
}

}  // namespace test
