// Who chooses the schedule of an explored run.
//
// Model       a seeded run (scheduler_options::seed) with a chooser makes a choice at every entry
//             of its fibers into the runtime and whenever one leaves its processor: the running
//             fiber goes back among the runnable ones, and the chooser says which of them goes on.
#pragma once

#include <cstddef>
#include <string>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class fiber;

class explorer {
 public:
  // Which of the n > 0 runnable fibers runs next: its index. By the machine's loop; it must neither
  // park nor throw.
  virtual std::size_t choose(fiber* const* runnable, std::size_t n) noexcept = 0;

  // All fibers are blocked for ever. They are unwound, and the run goes on to its end.
  virtual void deadlocked(std::string dump) noexcept = 0;

 protected:
  explorer() = default;
  ~explorer() = default;
};

}  // namespace weft::inline WEFT_ABI::detail
