// The core of a group: how many children are active, who waits for a place or for the end.
//
// Model       Under the lock: `active` children of at most `limit`. A child that ends hands its
//             place to the first that waits to start one; when none is active the joiners wake.
// Invariants  I1 active is at most the limit                               (test "group I1")
//             I2 who joins returns when none is active, after the last child's last touch
//                                                                   (stress test "group I2")
// Locks       rank sync.
#pragma once

#include <cstddef>
#include <exception>
#include <limits>

#include "weft/arch/spinlock.hpp"
#include "weft/sync/wait.hpp"

namespace weft::inline WEFT_ABI::detail {

class group_core {
 public:
  group_core() = default;
  group_core(const group_core&) = delete;
  group_core& operator=(const group_core&) = delete;

  void set_limit(std::size_t limit);

  // A place for a child; blocks while there is none.
  void acquire_place();
  [[nodiscard]] bool try_acquire_place() noexcept;
  // A child has ended: the last touch.
  void release_place() noexcept;

  // Keeps the first exception. True: this is it.
  [[nodiscard]] bool fail(std::exception_ptr error) noexcept;
  // The first exception, which counts as told from now on; null: none.
  [[nodiscard]] std::exception_ptr take_error() noexcept;

  [[nodiscard]] wait_end join(const wait_limits& limits);
  // In a destructor: not unwound there; prints an exception that nobody was told.
  void join_at_end() noexcept;

 private:
  class starting;
  class joining;

  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  bubble_mark used_;
  spinlock lock_;
  std::size_t active_ = 0;  // with the rest guarded by lock_
  std::size_t limit_ = unlimited;
  bool is_told_ = true;  // nothing to tell, or somebody was told
  std::exception_ptr error_;
  wait_list starters_;
  wait_list joiners_;
};

}  // namespace weft::inline WEFT_ABI::detail
