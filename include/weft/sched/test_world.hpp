// What the primitives know of tests: which bubble an object belongs to, and points of preemption.
//
// Model       a bubble (sched/bubble.hpp) has a number; 0 stands for the world outside of all.
//             Channels and contexts belong to where they were made. What several fibers use without
//             a handle of its own, semaphores and the like, belongs to whoever uses it: see
//             bubble_mark. An explored run (sched/explorer.hpp) may switch fibers at each entry of
//             the runtime, those included that never park.
// Cost        while there is no bubble and no exploration in the process: a load of a word that
//             nobody writes, and a branch never taken.
#pragma once

#include <cstdint>
#include <type_traits>

#include "weft/arch/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

using bubble_id = std::uint32_t;

inline constexpr bubble_id no_bubble = 0;
// Of a wait that nothing from outside of the waiter's own bubble can end.
inline constexpr bubble_id any_bubble = ~bubble_id{0};

// Bubbles and explorations under way in the process.
extern atomic<unsigned> test_worlds;

[[nodiscard]] WEFT_ALWAYS_INLINE bool in_test_world() noexcept {
  // relaxed: whoever is in such a world came there after the count grew
  return WEFT_UNLIKELY(test_worlds.load(relaxed) != 0);
}

[[nodiscard]] bubble_id bubble_of_caller_slow() noexcept;
[[nodiscard]] WEFT_ALWAYS_INLINE bubble_id bubble_of_caller() noexcept {
  return in_test_world() ? bubble_of_caller_slow() : no_bubble;
}

// True: the number is that of a bubble under way.
[[nodiscard]] bool is_bubble_alive(bubble_id id) noexcept;

// `what` was done to an object of a bubble in which the caller is not: "stop of synctest timer".
[[noreturn]] WEFT_COLD void throw_from_outside(const char* what);

// At the start of an operation that never parks, with no lock held: an explored run may run other
// fibers here.
void pass_entry_slow() noexcept;
WEFT_ALWAYS_INLINE void pass_entry() noexcept {
  if (in_test_world()) pass_entry_slow();
}

// Which bubble has an object to itself; no_bubble: none has. Adopted: it was made outside, where
// somebody may know it.
struct bubble_use {
  bubble_id home = no_bubble;
  bool is_adopted = false;
};

// Who uses an object: one bubble alone, or others too.
//
// States      unused; a bubble's, made there; a bubble's, made outside and used there only so far;
//             shared. It only goes on in this order.
class bubble_mark {
 public:
  // Of an object that the caller makes.
  constexpr bubble_mark() noexcept {
    if (!std::is_constant_evaluated()) begin();
  }
  bubble_mark(const bubble_mark&) = delete;
  bubble_mark& operator=(const bubble_mark&) = delete;

  // The caller uses the object.
  WEFT_ALWAYS_INLINE void note_use() noexcept {
    // relaxed: what matters is known to whoever blocks, in whose bubble all happens
    if (WEFT_UNLIKELY(word_.load(relaxed) != shared)) note_use_slow();
  }

  [[nodiscard]] bubble_use use() const noexcept {
    const std::uint32_t word = word_.load(relaxed);  // relaxed: as above
    if (word <= shared) return {};
    return {word >> 1U, (word & adopted) != 0};
  }

 private:
  static constexpr std::uint32_t unused = 0;
  static constexpr std::uint32_t shared = 1;
  static constexpr std::uint32_t adopted = 1;  // beside the number, shifted by one

  void begin() noexcept {
    if (const bubble_id id = bubble_of_caller(); id != no_bubble)
      word_.store(id << 1U, relaxed);  // relaxed: published with the object
  }
  void note_use_slow() noexcept;

  atomic<std::uint32_t> word_{unused};
};

}  // namespace weft::inline WEFT_ABI::detail
