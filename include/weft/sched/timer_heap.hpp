// The timers of one processor: a 4-ary heap of intrusive nodes, ordered by due time.
//
// Model       each node knows its heap and its index there, so that taking one out costs O(log n)
//             and leaves nothing behind. Keys stand in the heap's array: sifting touches no node
//             but to write its index.
// Invariants  I1 node.index is the node's place in its heap's array, or `none`
//                                                                       (test "timer_heap I1")
//             I2 a parent is never due later than its children          (test "timer_heap I2")
//             I3 equal due times go by arming number, or by a random one
//                                                                       (test "timer_heap I3")
// Locks       each heap has a lock, rank timer; fire functions run under it and may take the locks
//             of channels, contexts and wait lists, ready tasks and create fibers, but touch no
//             other timer. Whoever holds one of those locks must not arm or disarm.
// Firing      under the lock, with the node still at home: after disarm() has returned, the node's
//             fire function neither runs nor will, and the node may die. An owner that is woken by
//             its timer would meet that lock in its disarm(), while a thousand others are fired; so
//             a fire function that is about to wake may let_go() of its node first. It must be sure
//             then that the owner waits for that wake-up and for nothing else.
// Moves       a node changes its heap only when disarmed and armed again, or when its processor
//             goes (take_all); disarm() locks the heap that it reads and looks again. It may lock a
//             heap that the node has left meanwhile, so heaps outlive every thread that uses timers
//             of their runtime.
// Order       pair timer_heap.home: a node's heap is stored with release under the heap's lock (or,
//             letting go, by the fire function), and loaded with acquire by disarm().
//             pair timer_heap.next: next_due is stored with release, loaded with acquire by whoever
//             decides how long to sleep; the store is followed by the wake-up check of arm().
// Rejected    a hierarchical wheel: twice as fast only at a million timers that are cancelled at
//             random, slower to expire them, and it rounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"

namespace weft::inline WEFT_ABI::detail {

class timer_heap;

inline constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

struct timer_node {
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  // What a fire function returns after let_go().
  static constexpr std::int64_t gone = std::numeric_limits<std::int64_t>::min();

  // Runs when the time has come, under the heap's lock: returns the next due time, which arms the
  // node again, or `never`, or `gone`.
  using fire_function = std::int64_t (*)(timer_node&, std::int64_t now) noexcept;

  // Runs, without a lock, when the heap ends and the node is still armed; the node is in no heap
  // then. For nodes that nobody else would free: a null one is only taken out.
  using abandon_function = void (*)(timer_node&) noexcept;

  // By a fire function, before it wakes the owner: the node is out of its heap, and the function
  // touches it no more.
  void let_go() noexcept { heap.store(nullptr, release); }  // pairs: timer_heap.home

  fire_function fire = nullptr;
  abandon_function abandon = nullptr;
  atomic<timer_heap*> heap{nullptr};
  std::uint32_t index = none;  // guarded by the heap's lock
};

class timer_heap {
 public:
  timer_heap() = default;
  ~timer_heap() { abandon_all(); }
  timer_heap(const timer_heap&) = delete;
  timer_heap& operator=(const timer_heap&) = delete;

  // Puts a node that is in no heap in. Returns true when it became the first to be due. Throws
  // std::bad_alloc, with nothing changed.
  bool insert(timer_node& node, std::int64_t due);

  // Fires what is due at `now`; returns how many fired. Cheap when nothing is due. Not from a fire
  // function.
  std::size_t run_due(std::int64_t now) noexcept;

  // When the first node is due; `never` when there is none.
  [[nodiscard]] std::int64_t next_due() const noexcept {
    return next_due_.load(acquire);  // pairs: timer_heap.next
  }
  [[nodiscard]] std::size_t size() const noexcept {
    return size_.load(relaxed);  // relaxed: a counter for reports
  }

  // Moves every node of `from` here. Throws std::bad_alloc, with nothing changed.
  void take_all(timer_heap& from);

  // Takes every node out, unfired.
  void abandon_all() noexcept;

  // Of an empty heap: from now on equal due times go in random order.
  void shuffle_equal() noexcept { is_shuffled_ = true; }

  // Whether I1 and I2 hold.
  [[nodiscard]] bool is_sound_for_testing() noexcept;

 private:
  friend bool disarm(timer_node& node) noexcept;

  struct entry {
    std::int64_t due;
    std::uint64_t order;
    timer_node* node;
    [[nodiscard]] bool before(const entry& other) const noexcept {
      return due != other.due ? due < other.due : order < other.order;
    }
  };

  void place(std::size_t at, const entry& e) noexcept;
  void sift_up(std::size_t at, const entry& e) noexcept;
  void sift_down(std::size_t at, const entry& e) noexcept;
  void remove_at(std::size_t at) noexcept;
  void fire_first(std::int64_t now) noexcept;
  void publish() noexcept;
  [[nodiscard]] std::uint64_t new_order() noexcept;

  bool is_shuffled_ = false;
  spinlock lock_;
  std::uint64_t next_order_ = 0;  // guarded by lock_
  std::vector<entry> entries_;    // guarded by lock_
  atomic<std::int64_t> next_due_{never};
  atomic<std::size_t> size_{0};
};

// Takes the node out of its heap. True: it was armed, and now will not fire. False: it was not
// armed (never was, or has fired). Either way its fire function is not running when this returns,
// save the rest of one that has let go of it. From any thread; the caller may not hold a lock that
// fire functions take.
bool disarm(timer_node& node) noexcept;

// Arms a node that is not armed, on the caller's processor (from a plain thread: on a processor of
// the only running runtime). `due` is in nanoseconds of the caller's clock. Throws std::bad_alloc,
// and std::logic_error from a plain thread when there is not exactly one runtime. Wakes the poller
// when it sleeps past `due`.
void arm(timer_node& node, std::int64_t due);

// Now, in nanoseconds, on the clock of the caller: virtual in a bubble or a seeded run.
[[nodiscard]] std::int64_t now_ns() noexcept;

// due = now + d, saturating; d <= 0 gives now.
[[nodiscard]] std::int64_t due_after(std::int64_t duration_ns) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
