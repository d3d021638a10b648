// The order in which locks have been taken: a graph in which a new edge that closes a ring is told.
//
// Model       a node for each lock that was ever wanted while another was held, or the other way
//             round; an edge from each lock to those that a task wanted while it held that one,
//             with the places of the first time. Tasks that take locks along a ring of edges can
//             wait for one another for ever, whether or not they ever do.
// Cost        an edge that is known is found by a walk over what its lock has; only a new one is
//             searched for a way back. A lock that dies takes its node and edges with it.
// Invariants  I1 each link has an entry in the node that it leads to    (test "lock_order I1")
//             I2 an inversion is told when its last edge comes, and once (test "lock_order I2")
// Threads     none: whoever owns it has a lock (lock_check.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// A stack, innermost frame first.
struct lock_place {
  static constexpr std::size_t max_frames = 16;

  std::size_t count = 0;
  void* frames[max_frames] = {};
};

class lock_order {
 public:
  using lock_id = std::uint64_t;  // never used again

  // Somebody wanted the lock `wanted` while he held the lock `held`.
  struct step {
    lock_id held;
    lock_id wanted;
    std::uint64_t task;
    lock_place held_at;
    lock_place wanted_at;
  };

  // The steps that lead from `s.wanted` back to `s.held`, the first time that `s` is seen; empty:
  // there are none, or it was seen before. Throws std::bad_alloc.
  [[nodiscard]] std::vector<step> note(const step& s);

  // The lock dies.
  void forget(lock_id lock) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] bool is_sound_for_testing() const;

 private:
  struct node {
    std::vector<step> out;    // from this lock
    std::vector<lock_id> in;  // of the locks that have a step to this one
  };

  [[nodiscard]] std::vector<step> way(lock_id from, lock_id to) const;

  std::unordered_map<lock_id, node> nodes_;
};

}  // namespace weft::inline WEFT_ABI::detail
