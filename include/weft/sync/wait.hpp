// How an operation of a sync primitive blocks in the primitive's queue, and how its wait may end.
//
// Model       A primitive keeps its blocked operations in a wait_list under a spinlock of its own.
//             Whoever grants takes a place off that list under the lock, claims its wait, sets
//             `ok`, and wakes it after the lock is released. A wait with limits may be claimed by a
//             deadline or a cancellation instead; its operation then comes back for the lock,
//             leaves the queue and hands on what its leaving makes possible.
// Ends        A granter touches nothing of the primitive after its last wake-up, and whoever gives
//             up passes through the lock before it returns. So a primitive may die as soon as every
//             operation on it has returned, though a granter may still be on its way out.
// Locks       rank sync: taken with no other lock held; wake() is called after its release.
#pragma once

#include <cstdint>
#include <system_error>

#include "weft/arch/spinlock.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/cancel_source.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

// What may end a wait besides its grant.
struct wait_limits {
  cancel_source* source = nullptr;
  std::int64_t deadline = never;  // nanoseconds of the caller's clock

  [[nodiscard]] bool none() const noexcept { return source == nullptr && deadline == never; }
};

enum class wait_end : unsigned char { granted, timed_out, canceled };

// The indices by which a wait tells what ended it.
inline constexpr std::uint32_t by_grant = 0;
inline constexpr std::uint32_t by_deadline = 1;
inline constexpr std::uint32_t by_cancel = 2;

// Arms the limits, before the queue's lock is taken. False: cancelled already.
[[nodiscard]] bool arm_limits(multi_wait& wait, const wait_limits& limits);

// True: the source of `limits` has fired.
[[nodiscard]] bool is_canceled(const wait_limits& limits) noexcept;

[[nodiscard]] inline wait_limits limits_of(const context& ctx) noexcept {
  return {source_of(ctx), never};
}

// How the public operations tell of a wait that `ctx` has ended: by an exception, or in `ec`.
inline void throw_if_canceled(wait_end end, const context& ctx) {
  if (WEFT_UNLIKELY(end != wait_end::granted)) throw_system_error(error_of(ctx));
}
inline bool report_canceled(wait_end end, const context& ctx, std::error_code& ec) noexcept {
  if (end == wait_end::granted) {
    ec.clear();
    return true;
  }
  ec = error_of(ctx);
  return false;
}

// Calls `op.revoke(place)` when a park is left by unwinding although the grant had come: what was
// given goes on to others.
template <class Op>
class unwound_grant {
 public:
  unwound_grant(Op& op, waiter& place) noexcept : op_(op), place_(place) {}
  ~unwound_grant() {
    if (WEFT_UNLIKELY(!returned_) && place_.ok) op_.revoke(place_);
  }
  unwound_grant(const unwound_grant&) = delete;
  unwound_grant& operator=(const unwound_grant&) = delete;

  void returned() noexcept { returned_ = true; }

 private:
  Op& op_;
  waiter& place_;
  bool returned_ = false;
};

template <class Op>
void tell_owner(wait_state& wait, Op& op) noexcept {
  if constexpr (requires { op.owner(); }) wait.awaits(op.owner());
  if constexpr (requires { op.use(); }) wait.meets(op.use());
}

// Blocks the calling task in a queue guarded by `lock`. The operation supplies
//   bool enrol(waiter&)                     under the lock: true: it put the place into its queue;
//                                           false: there is nothing to wait for
//   wait_end gave_up(waiter&, wait_end how) under the lock, which it releases: the limit `how` has
//                                           ended the wait; the place is in the queue or was taken
//                                           off by a granter that found the wait claimed
//   void revoke(waiter&)                    as unwound_grant says
//   const owner_mark& owner()               optional: who is to grant
//   bubble_use use()                        optional: which bubble has the primitive to itself
template <class Op>
wait_end block_in_queue(spinlock& lock, wait_reason reason, const wait_limits& limits,
                        waiter& place, Op& op) {
  place.guard = &lock;
  place.index = by_grant;
  place.ok = false;
  if (limits.none()) {
    wait_state wait(wait_state::kind::single, reason, &place, 1);
    tell_owner(wait, op);
    lock.lock();
    if (!op.enrol(place)) {
      lock.unlock();
      return wait_end::granted;
    }
    unwound_grant<Op> grant(op, place);
    wait.park(lock);
    grant.returned();
    return wait_end::granted;
  }
  multi_wait wait(reason, &place, 1);
  if (!arm_limits(wait, limits)) return wait_end::canceled;
  tell_owner(wait, op);
  lock.lock();
  if (!op.enrol(place)) {
    lock.unlock();
    return wait_end::granted;
  }
  unwound_grant<Op> grant(op, place);
  const std::uint32_t index = wait.park(lock);
  grant.returned();
  if (index == by_grant) return wait_end::granted;
  lock.lock();
  return op.gave_up(place, index == by_deadline ? wait_end::timed_out : wait_end::canceled);
}

// Blocks until a limit ends the wait; granted is no result.
wait_end block_until_limit(wait_reason reason, const wait_limits& limits);

}  // namespace weft::inline WEFT_ABI::detail
