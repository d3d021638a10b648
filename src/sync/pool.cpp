// Keeping, giving and purging the items of a pool.
#include <utility>

#include "weft/sched/machine.hpp"
#include "weft/sched/processor.hpp"
#include "weft/sync/pool_core.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

pool_node* pop(pool_node*& stack) noexcept {
  pool_node* node = stack;
  if (node != nullptr) stack = node->next;
  return node;
}

}  // namespace

const pool_core::kind pool_core::kind_of_pools{
    [](aged& self) noexcept -> void* { return static_cast<pool_core&>(self).purge(); },
    [](const aged& self) noexcept { return static_cast<const pool_core&>(self).is_empty(); },
};

void pool_core::put(pool_node& node) noexcept {
  {
    shard& s = shards_[own_shard()];
    lock_guard held(s.lock);
    node.next = std::exchange(s.fresh, &node);
  }
  keeps_something();
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

bool pool_core::is_empty() const noexcept {
  for (const shard& s : shards_) {
    lock_guard held(s.lock);
    if (s.fresh != nullptr || s.old != nullptr) return false;
  }
  return true;
}

// Plain threads share a shard with the first processor, and so does who has none at the moment.
std::size_t pool_core::own_shard() noexcept {
  const machine* m = current_machine();
  const processor* p = m == nullptr ? nullptr : m->p;
  return p == nullptr ? 0 : p->id % shard_count;
}

}  // namespace weft::inline WEFT_ABI::detail
