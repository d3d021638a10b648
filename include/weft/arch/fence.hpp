// The asymmetric fence: free for whoever passes often, dear for whoever asks seldom.
//
// Why unsafe  a store followed by a load of another word may be seen in the other order. The fast
//             side puts light_fence() between them, the slow side heavy_fence() between its own
//             store and load: of the two, at least one sees the other's store.
// Model       light is a compiler fence where the kernel offers membarrier(PRIVATE_EXPEDITED),
//             which makes every running thread of the process pass a full fence; else both are full
//             fences (seccomp filters, emulators, other systems): one predicted branch.
//             Where membarrier is refused after it has worked, as by a filter that a program gives
//             itself once it has started, the fast sides go over to full fences, each at a moment
//             of its own. heavy_fence() then holds only against those that are known to have done
//             so; sched/take_away.cpp says how it knows.
// Order       pair fence.asymmetric: heavy_fence() stands against every light_fence().
//             pair fence.full: full_fence() stands against another full_fence(), or a seq_cst
//             exchange.
//             pair fence.refused: a refusal is marked before the fast sides go over -> who finds
//             that they do knows why.
// Seen by     stress test "fence: one of the two sides sees the other", in both modes.
#pragma once

#include "weft/arch/atomic.hpp"

namespace weft::inline WEFT_ABI::detail {

// True until membarrier was found to work, which is before the first machine starts, and again from
// when it was refused.
extern constinit atomic<bool> fence_needs_instruction;

WEFT_ALWAYS_INLINE void light_fence() noexcept {
  // relaxed: from false to true at most, and heavy_fence() tells
  if (WEFT_UNLIKELY(fence_needs_instruction.load(relaxed))) {
    std::atomic_thread_fence(seq_cst);  // pairs: fence.asymmetric
  } else {
    compiler_fence();
  }
}

// False: it holds against those only that were known before the call to pass full fences.
[[nodiscard]] bool heavy_fence() noexcept;
// True: membarrier has never worked here, so that it holds against everybody all the same.
[[nodiscard]] bool fences_were_always_full() noexcept;

// Between a store and a load that may not be seen in the other order, on both sides alike.
inline void full_fence() noexcept {
  std::atomic_thread_fence(seq_cst);  // pairs: fence.full
}

// Registers the process for membarrier; idempotent, from any thread.
void prepare_fences() noexcept;

// Tests run the protocols without membarrier too. Only while no machine runs.
void set_fences_for_testing(bool use_membarrier) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
