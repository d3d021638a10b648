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
    const std::int64_t step = std::int64_t{n} * zero_gate::one;
    const std::int64_t before = gate_.step(step);
    const std::int64_t now = before + step;
    if (WEFT_LIKELY(now >= 0 && now != zero_gate::waiting && before != zero_gate::waiting)) return;
    add_slow(before, step);
  }

  // A source that has fired wins over a counter that is zero.
  wait_end wait(const wait_limits& limits = {}) {
    return gate_.pass(limits, [this](const wait_limits& l) { return wait_slow(l); });
  }

 private:
  void add_slow(std::int64_t before, std::int64_t step);
  wait_end wait_slow(const wait_limits& limits);
  [[noreturn]] static void throw_out_of_range();

  zero_gate gate_;
};

// What the fiber of a wait group's go() runs.
template <class F>
class wait_group_member {
 public:
  template <class G>
  wait_group_member(wait_group_core& core, G&& f) : core_(core), f_(std::forward<G>(f)) {}

  void operator()() {
    const end_of_member counts_down(core_);
    // Before the others go on: what f has captured is gone when their wait returns.
    const reset_at_end destroys(f_);
    (*f_)();
  }

 private:
  // Not after an exception: nobody may be released by a function that has failed, as the process is
  // about to end. An exit of the fiber counts as its end.
  class end_of_member {
   public:
    explicit end_of_member(wait_group_core& core) noexcept : core_(core) {}
    end_of_member(const end_of_member&) = delete;
    end_of_member& operator=(const end_of_member&) = delete;
    ~end_of_member() {
      if (std::uncaught_exceptions() == 0 || is_being_unwound()) core_.add(-1);
    }

   private:
    wait_group_core& core_;
  };

  wait_group_core& core_;
  std::optional<F> f_;
};

}  // namespace weft::inline WEFT_ABI::detail
