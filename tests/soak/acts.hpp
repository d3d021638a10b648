// Small whole programs that a fiber of a round runs: their waits have no time limit, and their
// parts are made for one another, so that each must come to its end with the right result.
#pragma once

#include <cstdint>

#include "soak/ledger.hpp"
#include "soak/world.hpp"

namespace soak {

// One of them, chosen and filled in by the seed.
void act(ledger& book, const rules& allowed, std::uint64_t seed);

// Fibers that wait for what never comes, in every way, for a run that abandons them. What they wait
// on must stay until the run has ended.
class never_ending {
 public:
  void start();

 private:
  weft::chan<int> to_receive_ = weft::make_chan<int>();
  weft::chan<int> to_send_ = weft::make_chan<int>();
  weft::semaphore semaphore_{1};
  weft::wait_group group_;
  weft::mutex mutex_;
  weft::cond cond_;
  weft::cancelable_context scope_ = weft::with_cancel({});
};

}  // namespace soak
