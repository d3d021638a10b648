// The core of a wait group: a gate at zero that may be used again, and the detection of its misuse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

#include "weft/base/reset_at_end.hpp"
#include "weft/sched/park.hpp"
#include "weft/sync/zero_gate.hpp"

namespace weft::inline WEFT_ABI::detail {

class wait_group_core {
 public:
  constexpr wait_group_core() noexcept = default;

  // One fetch_add, unless somebody waits.
  void add(std::ptrdiff_t n) {
    if (WEFT_UNLIKELY(n > zero_gate::max_step || n < -zero_gate::max_step)) throw_out_of_range();
    if (in_test_world()) join_test_world();
    const std::int64_t step = std::int64_t{n} * zero_gate::one;
    const std::int64_t before = gate_.step(step);
    const std::int64_t now = before + step;
    if (WEFT_LIKELY(now >= 0 && now != zero_gate::waiting && before != zero_gate::waiting)) return;
    add_slow(before, step);
  }

  // A source that has fired wins over a counter that is zero.
  wait_end wait(const wait_limits& limits = {}) {
    const wait_end end = gate_.pass(limits, [this](const wait_limits& l) { return wait_slow(l); });
    if (in_test_world()) leave_bubble();
    return end;
  }

 private:
  void add_slow(std::int64_t before, std::int64_t step);
  void join_test_world();
  void leave_bubble() noexcept;
  wait_end wait_slow(const wait_limits& limits);
  [[noreturn]] static void throw_out_of_range();

  zero_gate gate_{"wait_group"};
  // The bubble in which it was added to first; until a wait there has found zero.
  atomic<bubble_id> home_{no_bubble};
};

// What the fiber of a wait group's go() runs. It is counted from has_begun() until it is destroyed:
// also if it could not be started, or never ran because the run is unwound. An exception that
// leaves it ends the process before that, so nobody is released by a function that has failed.
template <class F>
class wait_group_member {
 public:
  template <class G>
  wait_group_member(wait_group_core& core, G&& f) : count_(core), f_(std::forward<G>(f)) {}

  void has_begun() { count_.begin(); }

  void operator()() {
    const reset_at_end destroys(f_);
    (*f_)();
  }

 private:
  class count {
   public:
    explicit count(wait_group_core& core) noexcept : core_(core) {}
    count(count&& other) noexcept
        : core_(other.core_), has_begun_(std::exchange(other.has_begun_, false)) {}
    count& operator=(count&&) = delete;
    ~count() {
      if (has_begun_) core_.add(-1);
    }

    void begin() {
      core_.add(1);
      has_begun_ = true;
    }

   private:
    wait_group_core& core_;
    bool has_begun_ = false;
  };

  count count_;  // ends last: what f has captured is gone then
  std::optional<F> f_;
};

}  // namespace weft::inline WEFT_ABI::detail
