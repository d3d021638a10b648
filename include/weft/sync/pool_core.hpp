// The core of a pool: stacks of items in two generations, for each processor its own.
//
// Model       Each shard has a stack of fresh items and one of old ones. A machine uses the shard
//             of its processor, and looks at the others only where that one has nothing. A purge
//             drops the old ones and makes the fresh ones old; whoever takes an old one and puts it
//             back makes it fresh. While a runtime runs that has a monitor, each second is a purge
//             (sched/aging.hpp), until the pool is empty.
// Invariants  I1 an item is in one stack, or with one taker                  (test "pool I1")
// Locks       rank sync for a shard's lock; one at a time, nothing of the user runs under it.
#pragma once

#include <array>
#include <cstddef>

#include "weft/arch/spinlock.hpp"
#include "weft/base/config.hpp"
#include "weft/sched/aging.hpp"

namespace weft::inline WEFT_ABI::detail {

struct pool_node {
  pool_node* next = nullptr;
};

class pool_core : public aged {
 public:
  // `destroy` gets what is dropped because of its age.
  explicit pool_core(destroy_function destroy) noexcept : aged(kind_of_pools, destroy) {}
  pool_core(const pool_core&) = delete;
  pool_core& operator=(const pool_core&) = delete;

  void put(pool_node& node) noexcept;
  // Null: there is none.
  [[nodiscard]] pool_node* get() noexcept;
  // Purges; the items to be destroyed, as a chain.
  [[nodiscard]] pool_node* purge() noexcept;

 private:
  static constexpr std::size_t shard_count = 16;  // processors beyond it share
  static const kind kind_of_pools;

  struct alignas(cache_line) shard {
    mutable spinlock lock;
    pool_node* fresh = nullptr;  // guarded by lock
    pool_node* old = nullptr;    // likewise
  };

  [[nodiscard]] bool is_empty() const noexcept;
  [[nodiscard]] static std::size_t own_shard() noexcept;

  std::array<shard, shard_count> shards_;
};

}  // namespace weft::inline WEFT_ABI::detail
