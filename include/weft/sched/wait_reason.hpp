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
  count,
};

// The name shown in dumps, e.g. "chan receive (nil chan)". Lives for ever.
[[nodiscard]] std::string_view name_of(wait_reason reason) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
