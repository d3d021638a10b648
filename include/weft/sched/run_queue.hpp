// Local run queue of one processor: one producer, many thieves.
//
// Model       a ring of `capacity` slots and two counters that only grow; head moves by claim, tail
//             by publish. As Go's runq (runtime/proc.go).
// Invariants  I1 tail - head <= capacity                     (test "run_queue I1")
//             I2 each fiber pushed is taken exactly once     (stress test "run_queue I2")
// Owner       push, pop and push_half's caller: the machine that holds the processor. steal:
//             anybody.
// Locks       none; may be called while holding any.
// Order       pair run_queue.publish: push releases the tail -> pop by a thief acquires it: the
//             slot and the fiber behind it are visible.
//             pair run_queue.claim: a claim releases the head -> push acquires it: the slot has
//             been read and may be used again.
// Worst case  a thief copies slots that the owner pops at the same time: its claim of the head
//             fails, and what it copied is dropped. The owner can't overwrite a slot that a thief
//             has yet to claim, as the head has not moved.
// Rejected    one shared queue: contention. A LIFO deque: starves what is old.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/arch/atomic.hpp"

namespace weft::inline WEFT_ABI::detail {

template <class T, std::uint32_t Capacity = 256>
class run_queue {
 public:
  static constexpr std::uint32_t capacity = Capacity;
  static_assert((Capacity & (Capacity - 1)) == 0, "the ring's size must be a power of two");

  // Owner. False: full.
  [[nodiscard]] bool push(T* item) noexcept {
    const std::uint32_t head = head_.load(acquire);  // pairs: run_queue.claim
    const std::uint32_t tail = tail_.load(relaxed);  // relaxed: owner only writes it
    if (tail - head >= Capacity) return false;
    slots_[tail % Capacity].store(item, relaxed);  // relaxed: published by the tail
    tail_.store(tail + 1, release);                // pairs: run_queue.publish
    return true;
  }

  // Owner. The oldest, or null.
  [[nodiscard]] T* pop() noexcept {
    std::uint32_t head = head_.load(relaxed);  // relaxed: the exchange below decides
    for (;;) {
      const std::uint32_t tail = tail_.load(relaxed);  // relaxed: owner only writes it
      if (tail == head) return nullptr;
      T* item = slots_[head % Capacity].load(relaxed);  // relaxed: written by this thread
      if (head_.compare_exchange(head, head + 1, acq_rel)) return item;  // pairs: run_queue.claim
    }
  }

  // Anybody. Claims the older half (of one: that one), at most `limit`, into `out`; returns how
  // many.
  std::uint32_t steal(T** out, std::uint32_t limit) noexcept {
    for (;;) {
      std::uint32_t head = head_.load(acquire);        // pairs: run_queue.claim
      const std::uint32_t tail = tail_.load(acquire);  // pairs: run_queue.publish
      std::uint32_t n = tail - head;
      if (n > Capacity) continue;  // read apart: the head had moved on
      n -= n / 2;
      if (n > limit) n = limit;
      if (n == 0) return 0;
      for (std::uint32_t i = 0; i < n; ++i) {
        out[i] = slots_[(head + i) % Capacity].load(relaxed);  // relaxed: claimed below, or dropped
      }
      if (head_.compare_exchange(head, head + n, acq_rel)) return n;  // pairs: run_queue.claim
    }
  }

  // Anybody. Exact for the owner, a guess for others.
  [[nodiscard]] std::uint32_t size() const noexcept {
    const std::uint32_t head = head_.load(acquire);  // pairs: run_queue.claim
    const std::uint32_t tail = tail_.load(acquire);  // pairs: run_queue.publish
    return tail - head > Capacity ? 0 : tail - head;
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

 private:
  alignas(cache_line) untold_atomic<std::uint32_t> head_{0};
  alignas(cache_line) untold_atomic<std::uint32_t> tail_{0};
  atomic<T*> slots_[Capacity];
};

}  // namespace weft::inline WEFT_ABI::detail
