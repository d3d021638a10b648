// Stress of the run queue: an owner and thieves take each item exactly once, with what was written
// to it before it was pushed.
#include "weft/sched/run_queue.hpp"

#include <cstddef>
#include <cstdint>

#include "support/catch.hpp"
#include "support/queue_race.hpp"

namespace {

// The head only moves on, so the numbers that one thread takes grow.
class taker {
 public:
  void take(const test::queue_item& it, test::expectations& e) {
    e.that(is_first_ || it.number > last_, "a taker gets older items first");
    is_first_ = false;
    last_ = it.number;
  }

 private:
  bool is_first_ = true;
  std::uint64_t last_ = 0;
};

template <std::uint32_t Capacity>
void race(std::size_t thieves) {
  using queue = weft::detail::run_queue<test::queue_item, Capacity>;
  test::race_for_items<taker>(thieves, test::many_items, &queue::steal);
}

}  // namespace

TEST_CASE("run_queue I2: an owner and thieves take each item exactly once", "[sched][stress]") {
  race<4>(2);
  race<4>(3);
  race<256>(3);
}
