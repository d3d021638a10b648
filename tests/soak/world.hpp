// What the fibers and threads of a round share, and the random steps that they make with it.
//
// Liveness    every wait on what is shared has a time limit, so that a walk ends whatever the
//             others do; waits without one are in acts (acts.hpp), whose parts are made for one
//             another.
// Unwinding   all that is counted is counted by objects, so that the books are right for a fiber
//             that is unwound anywhere; only what was sent and received is not compared then.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "soak/ledger.hpp"
#include "support/seed.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace soak {

// What a round may do.
struct rules {
  bool is_seeded = false;     // deterministic: no threads, no real time, one processor
  bool has_hogs = false;      // computing without a runtime entry
  bool is_cut_short = false;  // main returns while fibers are alive, which are unwound
  bool has_two_runtimes = false;
  unsigned max_procs = 4;
};

class world {
 public:
  world(ledger& book, const rules& r, std::uint64_t seed);

  // A fiber that makes random steps, and starts others `depth` deep.
  void start_walk(std::uint64_t seed, unsigned depth);
  void walk(std::uint64_t seed, unsigned depth);
  // By a plain thread.
  void walk_as_thread(std::uint64_t seed);

  // When all have ended: receives what is left in the channels.
  void drain();

  ledger& book;
  const rules allowed;
  weft::wait_group walkers;  // a round that is not cut short waits for them

 private:
  void step(test::random& r, unsigned depth);
  void thread_step(test::random& r);

  weft::cancelable_context limit(test::random& r);
  weft::chan<token> channel(test::random& r);
  token make_token(test::random& r);
  void take(std::optional<token> t);

  void send_one(test::random& r);
  void receive_one(test::random& r);
  void select_some(test::random& r);
  void select_many(test::random& r);
  void close_one(test::random& r);
  void cancel_one(test::random& r);
  void use_mutex(test::random& r);
  void use_rw_mutex(test::random& r);
  void use_semaphore(test::random& r);
  void use_cond(test::random& r);
  void sleep_some(test::random& r);
  void use_timers(test::random& r);
  void keep_errno(test::random& r);
  void keep_exceptions(test::random& r);
  void join_child(test::random& r, unsigned depth);
  void join_thread(test::random& r);
  void compute(test::random& r);
  void change_procs(test::random& r);
  void pin(test::random& r);
  void block(test::random& r);
  void go_deep(test::random& r);
  void keep_local(test::random& r);

  std::mutex slots_mutex_;  // held for an exchange only
  std::array<weft::chan<token>, 5> channels_;
  std::array<weft::cancelable_context, 3> scopes_;

  // Between lock and unlock `entered` is one more than `left`.
  struct guarded {
    long entered = 0;
    long left = 0;
  };
  weft::mutex mutex_;
  guarded in_mutex_;
  weft::rw_mutex rw_mutex_;
  guarded in_rw_mutex_;
  static constexpr long places = 3;
  weft::semaphore semaphore_{places};
  std::atomic<long> inside_{0};
  weft::cond cond_;
  long signals_ = 0;  // guarded by mutex_
  weft::fiber_local<std::uint64_t> local_;
  std::atomic<int> threads_left_;  // a round starts only so many
  std::atomic<int> hogs_left_;
};

}  // namespace soak
