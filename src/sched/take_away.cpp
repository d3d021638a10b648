// Both sides of the take-away word; the protocol stands in weft/sched/take_away.hpp.
//
// Fences      the taker's heavy fence orders it against every machine as long as membarrier works.
//             Without it both sides need full fences, and it must be known of the machine that it
//             passes them: from the start, or because it has answered a request that was made
//             after membarrier had been refused. One that has not is asked again; a hog that never
//             answers keeps its processor.
#include "weft/sched/take_away.hpp"

#include "weft/sched/misuse.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

WEFT_COLD void answer_attention(machine& m) noexcept {
  refuse_forked_child();
  std::uint32_t word = m.attention.load(relaxed);  // relaxed: exchanged below
  for (;;) {
    const std::uint32_t state = word & attention::state_mask;
    if (state == attention::none) return;
    std::uint32_t answered = word & ~std::uint32_t{attention::state_mask};
    // Without a processor it must come to a safepoint's slow path, where it gets one or queues.
    if (state == attention::taken) answered |= attention::yield;
    if (!m.attention.compare_exchange(word, answered, acq_rel)) continue;  // pairs: attention.word
    // Behind the request, which was made after membarrier was refused, if it was: what is seen here
    // is seen by all light fences from here on.
    if (fence_needs_instruction.load(relaxed))    // relaxed: as above
      m.passes_full_fences.store(true, release);  // pairs: attention.fences
    if (state == attention::taken) {
      m.p = nullptr;
      m.home->processor_was_taken(m);
    }
    return;
  }
}

std::uint32_t ask_for_processor(machine& m) noexcept {
  std::uint32_t word = m.attention.load(relaxed);  // relaxed: exchanged below
  const std::uint32_t state = word & attention::state_mask;
  // Asked inside a bracket that did not look again, and forgotten since: it stands.
  if (state == attention::requested) return word >> attention::number_shift;
  if (state != attention::none) return 0;
  std::uint32_t number = ((word >> attention::number_shift) + 1) & 0xffffff;
  if (number == 0) number = 1;
  const std::uint32_t request =
      number << attention::number_shift | (word & attention::reasons) | attention::requested;
  // pairs: attention.word
  return m.attention.compare_exchange(word, request, acq_rel) ? number : 0;
}

bool is_unanswered(const machine& m, std::uint32_t number) noexcept {
  const std::uint32_t word = m.attention.load(relaxed);  // relaxed: the taking exchange decides
  return (word & attention::state_mask) == attention::requested &&
         word >> attention::number_shift == number;
}

bool take_processor(machine& m, processor& p, std::uint32_t number) noexcept {
  // Looked at before the fence. pairs: attention.fences
  const bool passes_full_fences = m.passes_full_fences.load(acquire);
  const bool is_ordered = heavy_fence() || passes_full_fences;
  // In this order: one that is outside at the first look has finished its bracket, and what it did
  // there to `p` (lent it, gave it up for another one) is seen by the second. From then on it can
  // only come back from blocking(f) without a look at attention, and touches nothing of `p` there.
  const bool outside = m.in_runtime.load(acquire) == 0;  // pairs: in_runtime.leave
  const bool holds =
      // pairs: processor.status
      p.status.load(acquire) == processor::word(processor::running, m.id);
  std::uint32_t word = m.attention.load(relaxed);  // relaxed: exchanged below
  for (;;) {
    if ((word & attention::state_mask) != attention::requested ||
        word >> attention::number_shift != number)
      return false;
    const std::uint32_t rest = word & ~std::uint32_t{attention::state_mask};
    const bool takes = is_ordered && outside && holds;
    const std::uint32_t next = takes ? rest | attention::taken : rest;
    if (m.attention.compare_exchange(word, next, acq_rel)) return takes;  // pairs: attention.word
  }
}

void set_reason(machine& m, std::uint32_t reason) noexcept {
  m.attention.fetch_or(reason, acq_rel);  // pairs: attention.word
}

std::uint32_t take_reasons(machine& m) noexcept {
  // pairs: attention.word
  return m.attention.fetch_and(~std::uint32_t{attention::reasons}, acq_rel) & attention::reasons;
}

}  // namespace weft::inline WEFT_ABI::detail
