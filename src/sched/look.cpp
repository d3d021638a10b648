// Looks at fibers that stand, under a hold, and at the caller itself.
#include "weft/sched/look.hpp"

#include <algorithm>
#include <functional>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/process.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

bool is_on(const stack& s, const void* address) noexcept {
  const std::less<const void*> below;
  return s && !below(address, s.limit) && below(address, s.top);
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
  return hash ^ hash >> 29U;
}

std::uint64_t mix(std::uint64_t hash, const void* p) noexcept {
  return mix(hash, std::hash<const void*>()(p));
}

wait_edge edge_of_held(const fiber& f) noexcept {
  // relaxed, here and below: held
  if (f.state.load(relaxed) != fiber_state::parked || f.wait == nullptr) return {};  // relaxed: so
  const owner_mark* owner = f.wait->awaited();
  if (owner == nullptr) return {};
  return {owner->id(), owner->who(), owner, f.reason.load(relaxed),  // relaxed: held
          f.since.load(relaxed)};                                    // relaxed: held
}

}  // namespace

std::int64_t minutes_parked(const fiber& f, std::int64_t now) noexcept {
  constexpr std::int64_t minute = 60'000'000'000;
  // relaxed, here and below: a report
  if (f.state.load(relaxed) != fiber_state::parked) return 0;  // relaxed: likewise
  return (now - f.since.load(relaxed)) / minute;               // relaxed: likewise
}

bool is_reported(const fiber& f) noexcept {
  return f.state.load(relaxed) != fiber_state::free &&
         !f.is_service.load(relaxed);  // relaxed: a report
}

fiber_look::fiber_look(fiber& f, without_stack) noexcept
    : of(f),
      id(f.id.load(relaxed)),          // relaxed: a report
      state(f.state.load(relaxed)) {}  // relaxed: likewise

fiber_look::fiber_look(fiber& f, const void* ucontext) noexcept : fiber_look(f, without_stack{}) {
  if (&f == this_fiber_or_null()) {
    look_from_inside(ucontext);
    return;
  }
  const hold standing(f.self);
  if (standing.context() == nullptr) return;
  id = f.id.load(relaxed);                // relaxed: held
  state = f.state.load(relaxed);          // relaxed: likewise
  if (f.never_ran.load(relaxed)) return;  // relaxed: likewise
  frame_count = capture(registers_of_suspended(standing.context()), frames, max_frames);
  awaits = edge_of_held(f);
}

wait_edge edge_of(fiber& f) noexcept {
  const hold standing(f.self);
  return standing.context() != nullptr ? edge_of_held(f) : wait_edge{};
}

bool is_alive(const wait_edge& edge) noexcept {
  struct search {
    const fiber* wanted;
    bool found;
  } s{edge.record, false};
  if (edge.record == nullptr) return false;
  // The record may be of a runtime that has ended.
  for_each_scheduler_unlocked(
      [](scheduler& home, void* argument) {
        auto& all = *static_cast<search*>(argument);
        all.found = all.found || home.has_record(all.wanted);
      },
      &s);
  return s.found && edge.record->id.load(relaxed) == edge.whom &&  // relaxed: a report
         edge.record->state.load(relaxed) != fiber_state::free;    // relaxed: likewise
}

// The caller's own fiber, if it is on its stack: not in a call on the system stack, and not in a
// handler that interrupted a switch.
void fiber_look::look_from_inside(const void* ucontext) noexcept {
  if (ucontext != nullptr) {
    // It calls a handler when it sees fit, and what was interrupted has moved on by then.
    if (has_thread_sanitizer()) return;
    const saved_registers r = registers_of_interrupted(ucontext);
    if (is_on(of.on, r.sp)) frame_count = capture(r, frames, max_frames);
    return;
  }
  if (is_on(of.on, frame_address())) frame_count = capture(frames, max_frames, 1);
}

std::uint64_t fiber_look::likeness() const noexcept {
  std::uint64_t hash = mix(0, static_cast<std::uint64_t>(state));
  // relaxed, here and below: a report
  hash = mix(hash, static_cast<std::uint64_t>(of.reason.load(relaxed)));  // relaxed: likewise
  hash = mix(hash, of.pin_depth.load(relaxed) != 0 ? 1U : 0U);            // relaxed: likewise
  hash = mix(hash, of.never_ran.load(relaxed) ? 1U : 0U);                 // relaxed: likewise
  hash = mix(hash, of.in_call.load(relaxed) ? 1U : 0U);                   // relaxed: likewise
  hash = mix(hash, of.type.load(relaxed));                                // relaxed: likewise
  hash = mix(hash, of.created_at.file.load(relaxed));                     // relaxed: likewise
  hash = mix(hash, std::uint64_t{of.created_at.line.load(relaxed)});      // relaxed: likewise
  hash = mix(hash, static_cast<std::uint64_t>(minutes_parked(of, of.home->coarse_now())));
  hash = mix(hash, awaits.whom);
  hash = mix(hash, awaits.what);
  fiber_extra* extra = of.extra();
  if (extra != nullptr && extra->lock.try_lock()) {
    hash = mix(hash, std::hash<std::string>()(extra->name));
    extra->lock.unlock();
  }
  for (std::size_t i = 0; i < frame_count; ++i) hash = mix(hash, frames[i]);
  return hash;
}

}  // namespace weft::inline WEFT_ABI::detail
