// Why a fiber is blocked: the text that dumps show (SC-22) and the one that traces write.
#pragma once

#include <string_view>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

enum class wait_reason : unsigned char {
  none,
  chan_receive,
  chan_receive_nil,
  chan_send,
  chan_send_nil,
  select,
  select_no_cases,
  mutex_lock,
  rw_mutex_rlock,
  rw_mutex_lock,
  wait_group_wait,
  cond_wait,
  once_wait,
  semaphore,
  latch_wait,
  barrier_wait,
  sleep,
  io_wait,
  join,
  group_wait,
  blocking_limit,
  set_procs,
  context_wait,
  bubble,
  bubble_wait,
  count,
};

// Whether a wait for this reason may be one that only the fiber's own bubble can end. The others
// may be ended from outside, whoever waits.
[[nodiscard]] constexpr bool may_be_durable(wait_reason reason) noexcept {
  switch (reason) {
    case wait_reason::none:
    case wait_reason::mutex_lock:
    case wait_reason::rw_mutex_rlock:
    case wait_reason::rw_mutex_lock:
    case wait_reason::once_wait:
    case wait_reason::io_wait:
    case wait_reason::blocking_limit:
    case wait_reason::set_procs:
    case wait_reason::bubble:
    case wait_reason::count:
      return false;
    default:
      return true;
  }
}

// The name shown in dumps, e.g. "chan receive (nil chan)". Lives for ever.
[[nodiscard]] std::string_view name_of(wait_reason reason) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
