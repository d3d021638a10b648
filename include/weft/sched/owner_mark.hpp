// Who is to end a wait: the owner of a lock, the runner of a once, the fiber that is joined.
//
// Model       whoever got the lock marks itself right afterwards and takes the mark off right
//             before it gives the lock up. So a mark that names a parked fiber is true: only the
//             fiber itself could have taken it off. While somebody else takes or gives up the lock
//             it may name nobody.
// Reports     read it from the wait of a parked fiber (wait_state::awaits), which keeps what it
//             waits for alive. The record that a mark points to stays as long as its scheduler; the
//             number tells whether it is still that fiber's.
// Cost        two loads and two stores in a lock, one store in an unlock: some 1 ns.
#pragma once

#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/tls.hpp"

namespace weft::inline WEFT_ABI::detail {

class owner_mark {
 public:
  static constexpr std::uint64_t nobody = 0;
  static constexpr std::uint64_t thread = ~std::uint64_t{0};  // no fiber

  constexpr owner_mark() noexcept = default;
  owner_mark(const owner_mark&) = delete;
  owner_mark& operator=(const owner_mark&) = delete;

  // The caller is the owner.
  void set() noexcept {
    const machine_words* m = this_machine();
    fiber* f = m == nullptr ? nullptr : m->current();
    who_.store(f, relaxed);                                 // relaxed: for reports
    id_.store(f == nullptr ? thread : id_of(*f), relaxed);  // relaxed: likewise
  }
  void clear() noexcept { id_.store(nobody, relaxed); }  // relaxed: likewise

  // A fiber's number, or one of the two above.
  [[nodiscard]] std::uint64_t id() const noexcept {
    return id_.load(relaxed);  // relaxed: likewise
  }
  // Its record; null: none.
  [[nodiscard]] fiber* who() const noexcept { return who_.load(relaxed); }  // relaxed: likewise

 private:
  atomic<fiber*> who_{nullptr};
  atomic<std::uint64_t> id_{nobody};
};

}  // namespace weft::inline WEFT_ABI::detail
