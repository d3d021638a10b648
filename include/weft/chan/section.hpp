// A channel operation under its lock: unlocks at the end, then wakes, also when a move throws.
#pragma once

#include "weft/chan/core.hpp"

namespace weft::inline WEFT_ABI::detail {

class chan_section {
 public:
  explicit chan_section(chan_core& ch) noexcept : ch_(ch) { ch_.lock().lock(); }
  ~chan_section() {
    if (held_) ch_.lock().unlock();
    wake_chained(woken);
  }
  chan_section(const chan_section&) = delete;
  chan_section& operator=(const chan_section&) = delete;

  // The lock is released by somebody else: a park.
  void disown() noexcept { held_ = false; }

  waiter* woken = nullptr;

 private:
  chan_core& ch_;
  bool held_ = true;
};

}  // namespace weft::inline WEFT_ABI::detail
