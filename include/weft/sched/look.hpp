// A look at one fiber: what it does, where it stands and for whom it waits, at one moment.
//
// Safety      a fiber that stands is held while it is looked at (arch/switch.hpp), so that its
//             stack and its wait stay as they are; whoever wants to resume it waits these few
//             microseconds. Of one that runs only what stands in atomics is read; if it is the
//             caller itself, its stack too.
// Signals     nothing is allocated and nobody is waited for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/sched/fiber.hpp"
#include "weft/sched/owner_mark.hpp"

namespace weft::inline WEFT_ABI::detail {

// For whom a parked fiber waits.
struct wait_edge {
  std::uint64_t whom = owner_mark::nobody;  // not known, or the wait is for no one in particular
  fiber* record = nullptr;                  // of `whom`, if it is a fiber; see is_alive
  const void* what = nullptr;               // the lock's address
  wait_reason reason = wait_reason::none;
  std::int64_t since = 0;

  friend bool operator==(const wait_edge&, const wait_edge&) = default;
};

// Of `f` now; `whom` is nobody if it does not stand parked.
[[nodiscard]] wait_edge edge_of(fiber& f) noexcept;
// True: the fiber that an edge leads to has not ended, and its record may be looked at.
[[nodiscard]] bool is_alive(const wait_edge& edge) noexcept;

struct fiber_look {
  static constexpr std::size_t max_frames = 64;

  // Nobody looks at the stack: for reports on structures that are in doubt.
  struct without_stack {};

  fiber_look(fiber& f, without_stack) noexcept;
  // `ucontext` is the third argument of the signal handler that looks; null: none does.
  fiber_look(fiber& f, const void* ucontext) noexcept;

  // Of the same fiber that does the same in the same place: equal, but for chance.
  [[nodiscard]] std::uint64_t likeness() const noexcept;

  fiber& of;
  std::uint64_t id = 0;
  fiber_state state = fiber_state::free;
  wait_edge awaits;
  std::size_t frame_count = 0;
  void* frames[max_frames];

 private:
  void look_from_inside(const void* ucontext) noexcept;
};

// How many whole minutes a parked fiber has waited.
[[nodiscard]] std::int64_t minutes_parked(const fiber& f, std::int64_t now) noexcept;

// True: the record is that of a fiber that users care for.
[[nodiscard]] bool is_reported(const fiber& f) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
