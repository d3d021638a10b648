// Things that keep memory for reuse, and are asked now and then to drop what nobody has used.
//
// Model       a thing that begins to keep something enlists itself in a list of the process. About
//             once a second the monitor of a running runtime starts a service fiber, which takes
//             from each thing what is too old, and destroys it: destructors are user code, and may
//             wait. A thing that is left with nothing leaves the list, and with an empty list
//             nobody is woken for it.
// Locks       the list's, under which `take` runs; it may take the thing's own. What was taken is
//             destroyed without, and belongs to the fiber: the thing may die meanwhile.
// Seeded      runs of a seed have no monitor: nothing ages in them.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/base/intrusive_list.hpp"

namespace weft::inline WEFT_ABI::detail {

class scheduler;

class aged : public list_node {
 public:
  aged(const aged&) = delete;
  aged& operator=(const aged&) = delete;

  // Before any part of the thing dies.
  void withdraw() noexcept;

 protected:
  // What is too old comes off the thing, as a chain that `destroy` takes; null: nothing is.
  using take_function = void* (*)(aged& self) noexcept;
  using is_empty_function = bool (*)(const aged& self) noexcept;
  using destroy_function = void (*)(void* chain) noexcept;
  struct kind {
    take_function take;
    is_empty_function is_empty;
  };

  constexpr aged(const kind& k, destroy_function destroy) noexcept : kind_(&k), destroy_(destroy) {}
  ~aged() = default;

  // By whoever has given the thing something to keep.
  void keeps_something() noexcept {
    // relaxed: whoever clears it looks at the thing afterwards, under the thing's own lock
    if (WEFT_UNLIKELY(!is_listed_.load(relaxed))) enlist();
  }

 private:
  friend class aging_round;

  void enlist() noexcept;

  const kind* kind_;
  destroy_function destroy_;
  atomic<bool> is_listed_{false};
  std::uint64_t round_ = 0;  // guarded by the list's lock: the last one that it was asked in
};

// By the monitor of `s`, about once a second. True: nothing is kept anywhere.
[[nodiscard]] bool age_unused(scheduler& s) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
