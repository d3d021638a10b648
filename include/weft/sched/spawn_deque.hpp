// The fibers that one processor has started and not yet run: the newest first for its owner, the
// oldest first for thieves.
//
// Model       a ring of `capacity` slots and one word with both ends and a count of the owner's
//             pops. As a stack it keeps a tree of fibers that start fibers narrow: depth-first, a
//             few dozen are alive where first in, first out would begin all inner nodes, each with
//             a stack and its pages. What is old does not starve: next_local (switch_fiber.hpp)
//             moves all of them behind the run queue when a slice ends.
//
//               word    bits 0..11   oldest: the next to be stolen     thieves, owner
//                       bits 12..23  newest: one past the last         owner
//                       bits 24..63  pops, and the carries of newest   owner
//
// Invariants  I1 newest - oldest <= capacity                 (test "spawn_deque I1")
//             I2 each fiber pushed is taken exactly once     (stress test "spawn_deque I2")
// Owner       push and pop: the machine that holds the processor. take_oldest: anybody.
// Locks       none; may be called while holding any.
// Order       pair spawn_deque.word: push releases -> whoever takes acquires: the slot and the
//             fiber behind it are visible; a claim releases -> push acquires: the slot has been
//             read and may be used again.
// Worst case  a thief copies slots, and meanwhile the owner pops what it copied and pushes others
//             there, so that both ends are as before: the count of pops is not, and the claim
//             fails. It would have to sleep through 2^40 pops.
// Rejected    a fence instead of the locked instructions (Chase and Lev): as dear on x86-64, and
//             half of what is there cannot be stolen by one claim.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"

namespace weft::inline WEFT_ABI::detail {

template <class T, std::uint32_t Capacity = 256>
class spawn_deque {
 public:
  static constexpr std::uint32_t capacity = Capacity;
  static_assert((Capacity & (Capacity - 1)) == 0 && Capacity <= 2048,
                "the ring's size must be a power of two, and half of what an end counts to");

  // Owner. False: full.
  [[nodiscard]] bool push(T* item) noexcept {
    const std::uint64_t word = word_.load(acquire);  // pairs: spawn_deque.word
    if (size_of(word) >= Capacity) return false;
    // relaxed: published by the word
    slots_[newest_of(word) % Capacity].store(item, relaxed);
    word_.fetch_add(one_newer, acq_rel);  // pairs: spawn_deque.word
    return true;
  }

  // Owner. The newest, or null.
  [[nodiscard]] T* pop() noexcept {
    std::uint64_t word = word_.load(relaxed);  // relaxed: the exchange below decides
    for (;;) {
      if (size_of(word) == 0) return nullptr;
      const std::uint64_t last = (newest_of(word) - 1) & end_mask;
      T* item = slots_[last % Capacity].load(relaxed);  // relaxed: written by this thread
      const std::uint64_t popped =
          ((word >> pops_shift) + 1) << pops_shift | last << newest_shift | oldest_of(word);
      if (word_.compare_exchange(word, popped, acq_rel)) return item;  // pairs: spawn_deque.word
    }
  }

  // Anybody. Claims the older half (of one: that one), at most `limit`, the oldest first, into
  // `out`; returns how many.
  std::uint32_t take_oldest(T** out, std::uint32_t limit) noexcept {
    std::uint64_t word = word_.load(acquire);  // pairs: spawn_deque.word
    for (;;) {
      std::uint32_t n = size_of(word);
      n -= n / 2;
      if (n > limit) n = limit;
      if (n == 0) return 0;
      const std::uint64_t oldest = oldest_of(word);
      for (std::uint32_t i = 0; i < n; ++i) {
        out[i] =
            slots_[(oldest + i) % Capacity].load(relaxed);  // relaxed: claimed below, or dropped
      }
      const std::uint64_t rest = (word & ~end_mask) | ((oldest + n) & end_mask);
      if (word_.compare_exchange(word, rest, acq_rel)) return n;  // pairs: spawn_deque.word
    }
  }

  // Anybody. Exact for the owner while nobody steals, else a guess.
  [[nodiscard]] std::uint32_t size() const noexcept {
    return size_of(word_.load(acquire));  // pairs: spawn_deque.word
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

 private:
  static constexpr unsigned newest_shift = 12;
  static constexpr unsigned pops_shift = 24;
  static constexpr std::uint64_t end_mask = (1U << newest_shift) - 1;
  static constexpr std::uint64_t one_newer = 1U << newest_shift;

  static std::uint64_t oldest_of(std::uint64_t word) noexcept { return word & end_mask; }
  static std::uint64_t newest_of(std::uint64_t word) noexcept {
    return word >> newest_shift & end_mask;
  }
  static std::uint32_t size_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>((newest_of(word) - oldest_of(word)) & end_mask);
  }

  alignas(cache_line) untold_atomic<std::uint64_t> word_{0};
  atomic<T*> slots_[Capacity];
};

}  // namespace weft::inline WEFT_ABI::detail
