// Gives back what lies unused, once a second, until nothing was used meanwhile: the pages of
// stacks, and the items of pools. Used by one thread: sysmon, or whoever drives an embedded loop.
#pragma once

#include <cstdint>

#include "weft/sched/timer_heap.hpp"

namespace weft::inline WEFT_ABI::detail {

class scheduler;

class trimmer {
 public:
  explicit trimmer(std::int64_t first) noexcept : next_(first) {}

  // Something runs.
  void note_use() noexcept { is_done_ = false; }
  // Trims where it is time to.
  void look(scheduler& s, std::int64_t now) noexcept;
  // When it wants to look again; never, until something has run.
  [[nodiscard]] std::int64_t next() const noexcept { return is_done_ ? never : next_; }
  static constexpr std::int64_t period = 1'000'000'000;

 private:
  std::int64_t next_;
  bool is_done_ = false;
};

}  // namespace weft::inline WEFT_ABI::detail
