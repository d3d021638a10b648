// Select without element types: waits for the first of several operations.
//
// Model       As in Go's select.go, in up to three passes. With every channel's lock held, one
//             ready case is picked uniformly and carried out. If none is ready and there is no
//             default, a waiter is enrolled on each channel and the task parks; the commit releases
//             the locks. Who wakes it has claimed the shared wait, so exactly one case happens; the
//             losers are taken off their lists afterwards.
// Instant     the first pass sees all channels at one moment. Deadlines and contexts are monotonic:
//             seen fired at that moment or not is one moment's view too.
// Timers      a deadline or a context must be armed before any channel is locked (a timer's fire
//             function may lock a channel under its heap's lock), so a select that has one and
//             found nothing ready unlocks, arms, locks and polls again.
// Locks       channels in the order of their creation numbers, each once.
// Duplicates  a channel that stands in several cases has one place for each; the places enrol in
//             random order, so that each is served equally often.
// Commit      the fiber may be resumed by a timer while the commit still unlocks: it can't pass
//             detach(), which takes each channel's lock, before the commit has released the last.
//             Where all channels are nil there is none to take, and no commit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "weft/chan/core.hpp"

namespace weft::inline WEFT_ABI::detail {

struct select_item {
  enum class kind : unsigned char { recv, send, done, timer, otherwise };

  kind what = kind::otherwise;
  bool copies = false;              // send: copy the value, do not move it
  chan_core* channel = nullptr;     // recv, send; null: nil, never ready
  void* slot = nullptr;             // recv: std::optional<T>*; send: T*
  cancel_source* source = nullptr;  // done; null: never
  std::int64_t due = never;         // timer, nanoseconds of the caller's clock
};

// The memory that a select needs, on the caller's stack or in one block: all arrays have n
// elements.
struct select_memory {
  select_item* items;
  waiter* places;
  chan_core** channels;
  std::size_t n;
};

// Blocks until a case can go, carries it out, and returns its index. Throws closed_channel for a
// send on a closed channel, and what a move throws.
std::size_t run_select(const select_memory& memory);

}  // namespace weft::inline WEFT_ABI::detail
