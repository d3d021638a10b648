// Stacks for fibers: slabs of equal stacks, each with a guard, and the way from an address to its
// stack.
//
// Model       A pool hands out stacks of one size. It maps slabs of some 64 MiB, cut into stacks
//             that are aligned to their size; a stack's lowest part is its guard. Fresh stacks are
//             handed out in memory order, used ones last in, first out, so that warm memory is used
//             again: 10 ns against 2 us or more for one whose pages went back to the system.
//
//               slab    | guard | usable ... top | guard | usable ... top | not yet prepared ...
//
//             Free stacks stand in a ring beside the slabs, never in the stacks' own memory: that
//             would touch pages that are cold or were given back. From the oldest to the newest:
//
//               [0, cold)        no pages are left
//               [cold, shallow)  no more than the uppermost pages are left
//               [shallow, count) as their users left them
//
//             Taking from the new end keeps this order without work; trim() moves the borders.
// Why unsafe  stacks have no owner that a compiler sees: a stack released while something still
//             runs or points there is corrupted silently. Whoever releases one has left it for
//             good.
// Invariants  S1 a stack is in use or in the ring or never handed out, and in one of these only
//                (stress test "stack S1")
//             S2 0 <= cold <= shallow <= count <= capacity of the ring (assert check_ring)
// Locks       `lock_` for the ring, some ten instructions; `grow_lock_`, taken first, for mapping
//             and guards, so that releases and warm allocations never wait for the system.
// Order       pair registry.entry: a writer releases each field and at last the version ->
//             find_stack acquires them; a version that is odd or has moved voids what was read.
//             pair registry.size: publishing a place releases the size -> find_stack acquires it.
// Signals     find_stack reads the registry only, never a slab: it is safe in a signal handler
//             while another thread ends a pool.
// Sanitizers  under AddressSanitizer a released stack is unpoisoned, stacks in use are root regions
//             of the leak check, and stacks that were never released stay mapped when the pool
//             ends.
// Rejected    free-list links inside the stacks: a page fault for each cold one. A guard for each
//             stack of a slab at once: 0.2 ms for the first stack; in groups of up to 64 it is 0.5
//             us each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/arch/spinlock.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// The memory of one stack; it does not own it. It grows from `top` down to `limit`.
struct stack {
  std::byte* limit = nullptr;  // the lowest usable byte, above the guard
  std::byte* top = nullptr;    // one past the highest, aligned to the stack's whole size

  [[nodiscard]] explicit operator bool() const noexcept { return top != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(top - limit); }
  friend bool operator==(const stack&, const stack&) = default;
};

// Where an address lies.
struct stack_place {
  stack in;  // the stack that the address belongs to, by its own part or its guard
  std::byte* guard = nullptr;  // the guard's lowest byte; it ends at in.limit
  bool in_guard = false;
};

// Finds the stack, of any pool of the process, that `address` belongs to. False: none. Safe in a
// signal handler. The answer is stale once the pool has ended, which is for the caller to exclude.
[[nodiscard]] bool find_stack(const void* address, stack_place& out) noexcept;

// Why a pool had no stack to give.
enum class stack_refusal : unsigned char {
  none,
  memory,     // the system has no memory or address space left
  map_limit,  // the guards would use up the process's mappings (vm.max_map_count)
};

// All members may be called from any thread, at any time.
class stack_pool {
 public:
  static constexpr std::size_t min_stack_size = std::size_t{16} * 1024;
  static constexpr std::size_t max_stack_size = std::size_t{1} << 30U;
  static constexpr std::size_t slab_size = std::size_t{64} * 1024 * 1024;

  // Stacks of `stack_size` bytes, guard included, rounded up to a power of two of 16 KiB or more.
  // Maps nothing yet.
  explicit stack_pool(std::size_t stack_size) noexcept;
  // Unmaps everything but what keep_mapped() names; whatever was in use must be used no more.
  ~stack_pool();
  stack_pool(const stack_pool&) = delete;
  stack_pool& operator=(const stack_pool&) = delete;

  // Empty: refused by the system; last_refusal() says why.
  [[nodiscard]] stack allocate() noexcept;
  // Fills `out`; fewer than n only when refused.
  [[nodiscard]] std::size_t allocate_batch(stack* out, std::size_t n) noexcept;

  void release(const stack& s) noexcept { release_batch(&s, 1); }
  // The last of the batch is the first to be used again.
  void release_batch(const stack* stacks, std::size_t n) noexcept;

  // Gives back the memory of all free stacks but the `keep` that were used last, and of those
  // whatever lies deeper than 16 KiB. Long, up to 1 us a stack: for a service thread, not for a
  // machine.
  void trim(std::size_t keep) noexcept;
  // Of the free stacks beyond the `keep` that were used last, those that nobody has wanted since
  // the last call: what a service needs at its busiest stays warm. If nobody has wanted any, as
  // trim(). True: so it was.
  bool trim_unused(std::size_t keep) noexcept;
  // Gives back what a stack, in use by the caller, holds below its uppermost `keep_bytes`.
  static void shrink(const stack& s, std::size_t keep_bytes) noexcept;

  // The slab of `s` outlives the pool: something that cannot be ended still runs on it.
  void keep_mapped(const stack& s) noexcept;

  [[nodiscard]] std::size_t in_use() const noexcept;
  [[nodiscard]] stack_refusal last_refusal() const noexcept;
  // Bytes from limit to top, and with the guard.
  [[nodiscard]] std::size_t usable_size() const noexcept { return stack_size_ - guard_size_; }
  [[nodiscard]] std::size_t stack_size() const noexcept { return stack_size_; }

 private:
  struct slab;

  [[nodiscard]] stack at(std::byte* base) const noexcept {
    return {base + guard_size_, base + stack_size_};
  }
  [[nodiscard]] std::byte* base_of(const stack& s) const noexcept { return s.top - stack_size_; }
  [[nodiscard]] std::byte*& slot(std::size_t i) const noexcept {
    return ring_[(head_ + i) & (capacity_ - 1)];
  }
  std::size_t pop(stack* out, std::size_t n) noexcept;
  [[nodiscard]] bool grow() noexcept;
  [[nodiscard]] bool add_slab() noexcept;
  [[nodiscard]] bool grow_ring(std::size_t stacks) noexcept;
  [[nodiscard]] std::size_t take_at(std::size_t place, std::byte** out, std::size_t n) noexcept;
  void put_at(std::size_t place, std::byte* const* bases, std::size_t n) noexcept;
  void check_ring() const noexcept;
  [[nodiscard]] std::size_t trim_some(std::byte** bases, std::size_t room,
                                      std::size_t keep) noexcept;
  void shrink_kept(std::byte** bases, std::size_t room) noexcept;
  void give_back(std::size_t keep, bool deep_parts) noexcept;
  [[nodiscard]] slab* slab_of(const std::byte* base) const noexcept;
  void unmap(slab* s) noexcept;

  const std::size_t stack_size_;
  const std::size_t guard_size_;

  // guarded by lock_
  alignas(cache_line) mutable spinlock lock_;
  std::byte** ring_ = nullptr;  // bases of free stacks; slot(0) is the oldest
  std::size_t capacity_ = 0;    // a power of two, or 0
  std::size_t head_ = 0;
  std::size_t count_ = 0;
  std::size_t cold_ = 0;        // S2
  std::size_t shallow_ = 0;     // S2
  std::size_t least_ = 0;       // the least count_ since trim_unused()
  std::byte* fresh_ = nullptr;  // prepared and never used: [fresh_, fresh_end_)
  std::byte* fresh_end_ = nullptr;
  std::size_t in_use_ = 0;
  stack_refusal refusal_ = stack_refusal::none;

  // guarded by grow_lock_
  alignas(cache_line) mutable spinlock grow_lock_;
  slab* slabs_ = nullptr;            // the newest first
  std::byte* unprepared_ = nullptr;  // of the newest slab: no guards yet
  std::byte* slab_end_ = nullptr;
  std::size_t total_ = 0;  // stacks in all slabs
  std::size_t group_;      // how many to prepare next time
};

}  // namespace weft::inline WEFT_ABI::detail
