// Taking a processor away from a machine whose fiber makes no runtime entry, without a signal.
//
// Model       The machine brackets whatever touches its processor by enter and leave: a plain store
//             to `in_runtime`, a light fence, a look at `attention`. sysmon, the only taker, asks
//             first and takes later:
//
//               taker                                   machine
//               attention: none -> requested(n)         in_runtime = 1
//               (a tick later, still requested(n):)     light fence
//               heavy fence                             attention requested? CAS -> none: it stays
//               in_runtime == 0?                        attention taken? the processor is gone
//               status still running|m?                 ... touches the processor ...
//               CAS requested(n) -> taken(n)            in_runtime = 0 (release)
//
//             Of the two, one sees the other: either the taker sees in_runtime = 1 and withdraws,
//             or the machine sees requested or taken, and the CAS decides between them. A machine
//             inside the bracket when the taker looks keeps its processor; one that went in and out
//             between answered the request, so the taker's CAS fails; a stale taker fails by the
//             number n. in_runtime is read before the status: a machine may lend its processor, or
//             change it for another one, inside a bracket that began before the request.
//             A request that was made inside a bracket stands after it, also when sysmon has
//             forgotten it: it is taken up by the next question.
// attention   bits 0..1 none, requested, taken; bits 2..7 reasons; bits 8..31 the request's number.
// Reasons     are set by anyone and cleared by the machine at its next safepoint: yield (its slice
//             is over or others wait), exit (its fiber is to be unwound).
// Fiber code  outside a bracket touches only what belongs to its machine or its fiber, so it may
//             run on after its processor was taken: a hog, until its next entry.
// Invariants  I1 a processor is touched by its holder only, inside the holder's bracket
//                                         (model take_away; stress test "take_away I1")
// Order       pair attention.word: taker's CAS releases -> the machine's acquires, and the reverse.
//             pair attention.fences: set by the machine -> the taker: full fences are passed.
//             pair in_runtime.leave: leave releases -> the taker's look acquires: all that the
//             machine did to its processor is visible to the next holder.
// Rejected    a signal that switches stacks: the hog may hold malloc's lock.
#pragma once

#include "weft/arch/fence.hpp"
#include "weft/sched/machine.hpp"

namespace weft::inline WEFT_ABI::detail {

struct attention {
  enum : std::uint32_t {
    state_mask = 3,
    none = 0,
    requested = 1,
    taken = 2,
    yield = 4,
    exit = 8,
    reasons = 0xfc,
    number_shift = 8,
  };
};

// The machine found itself asked, or its processor taken.
void answer_attention(machine& m) noexcept;

// Begins a bracket; returns what leave() wants. Inside, m.p is right (null: it was taken).
WEFT_ALWAYS_INLINE std::uint32_t enter(machine& m) noexcept {
  const std::uint32_t outer = m.in_runtime.load(relaxed);  // relaxed: own word
  if (outer != 0) return outer;
  m.in_runtime.store(1, relaxed);  // relaxed: ordered by the fence
  light_fence();
  // relaxed: the exchange in the slow path decides
  if (WEFT_UNLIKELY(m.attention.load(relaxed) & attention::state_mask)) answer_attention(m);
  return outer;
}

WEFT_ALWAYS_INLINE void leave(machine& m, std::uint32_t outer) noexcept {
  m.in_runtime.store(outer, release);  // pairs: in_runtime.leave
}

// By sysmon. Returns the number of the request, which may be an older one that stands; 0: the
// processor was just taken, or the word has just changed.
[[nodiscard]] std::uint32_t ask_for_processor(machine& m) noexcept;
// By sysmon, later. True: `p` is the caller's. False: the machine answered, or is in the runtime.
[[nodiscard]] bool take_processor(machine& m, processor& p, std::uint32_t number) noexcept;
// True while the request is unanswered.
[[nodiscard]] bool is_unanswered(const machine& m, std::uint32_t number) noexcept;

void set_reason(machine& m, std::uint32_t reason) noexcept;
[[nodiscard]] std::uint32_t take_reasons(machine& m) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
