// Keeping, giving and purging the items of a pool.
#include <cstdint>
#include <memory>
#include <utility>

#include "weft/arch/tls.hpp"
#include "weft/sync/pool_core.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

pool_node* pop(pool_node*& stack) noexcept {
  pool_node* node = stack;
  if (node != nullptr) stack = node->next;
  return node;
}

}  // namespace

void pool_core::put(pool_node& node) noexcept {
  shard& s = shards_[own_shard()];
  lock_guard held(s.lock);
  node.next = std::exchange(s.fresh, &node);
}

pool_node* pool_core::get() noexcept {
  const std::size_t own = own_shard();
  for (std::size_t i = 0; i < shard_count; ++i) {
    shard& s = shards_[(own + i) % shard_count];
    lock_guard held(s.lock);
    if (pool_node* node = pop(s.fresh)) return node;
    if (pool_node* node = pop(s.old)) return node;
  }
  return nullptr;
}

pool_node* pool_core::purge() noexcept {
  pool_node* dropped = nullptr;
  for (shard& s : shards_) {
    lock_guard held(s.lock);
    while (pool_node* node = pop(s.old)) node->next = std::exchange(dropped, node);
    s.old = std::exchange(s.fresh, nullptr);
  }
  return dropped;
}

// Machines are far apart in memory, their low bits say nothing; plain threads share a shard.
std::size_t pool_core::own_shard() noexcept {
  const auto address = std::hash<const machine_words*>{}(this_machine());
  return (address * 0x9e3779b97f4a7c15U) >> 61U;
}

}  // namespace weft::inline WEFT_ABI::detail
