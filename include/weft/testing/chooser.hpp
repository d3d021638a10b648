// Choosing one schedule from a seed, and telling it.
//
// Model       the run asks at every entry of a fiber into the runtime, and whenever one leaves the
//             processor, which of the runnable fibers goes on. Only the seed and the order of the
//             fibers among the runnable decide: the same seed gives the same schedule.
//             A random walk chooses each with the same probability. PCT (Burckhardt and others, A
//             Randomized Scheduler with Probabilistic Guarantees of Finding Bugs) gives each fiber
//             a random priority, runs the highest, and takes it from whoever runs at d random
//             steps. How many steps a run will have is not known: the seed draws a bound.
// Fairness    who waits in a loop for others would run for ever under PCT: one that is chosen very
//             often in a row falls behind all others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "weft/base/random.hpp"
#include "weft/sched/explorer.hpp"
#include "weft/sched/fiber.hpp"

namespace weft::inline WEFT_ABI::detail {

class place_table;

class schedule_chooser final : public explorer {
 public:
  // preemptions 0: a random walk. `is_told`: schedule() will be asked for, which costs a look at a
  // stack at each switch.
  schedule_chooser(std::uint64_t seed, unsigned preemptions, bool is_told);

  std::size_t choose(fiber* const* runnable, std::size_t n) noexcept override;
  void deadlocked(std::string dump) noexcept override;

  // Empty: there was none.
  [[nodiscard]] const std::string& deadlock() const noexcept { return deadlock_; }
  // After the run: one line for each time that a fiber ran.
  [[nodiscard]] std::string schedule();

 private:
  // One time that a fiber ran, from its choice to that of another.
  struct turn {
    std::size_t who = 0;
    std::size_t entries = 0;
    std::string how;           // it stopped
    std::vector<void*> where;  // innermost frame first
  };
  // A fiber of this run, by the order in which they were chosen first.
  struct known {
    std::uint64_t id = 0;
    std::uint64_t priority = 0;
    std::string name;
  };

  [[nodiscard]] std::size_t choose_by_priority(fiber* const* runnable, std::size_t n);
  [[nodiscard]] known& find(const fiber& f);
  void tell(fiber& next);
  void note_how_it_stopped();
  [[nodiscard]] static std::string place_of(const turn& t, const place_table& places);

  random_source random_;
  const bool is_told_;
  bool is_by_priority_;
  std::vector<std::uint64_t> change_at_;  // steps, PCT only
  std::uint64_t step_ = 0;
  std::uint64_t lowest_;  // the next priority below all others
  fiber* last_ = nullptr;
  std::uint64_t last_id_ = 0;
  unsigned in_a_row_ = 0;
  std::unordered_map<std::uint64_t, std::size_t> numbers_;  // by id
  std::vector<known> fibers_;
  std::vector<turn> turns_;
  std::string deadlock_;
};

}  // namespace weft::inline WEFT_ABI::detail
