// Stress of the deque of started fibers: an owner and thieves take each item exactly once, with
// what was written to it before it was pushed.
#include "weft/sched/spawn_deque.hpp"

#include <cstddef>
#include <cstdint>

#include "support/catch.hpp"
#include "support/queue_race.hpp"

namespace {

struct taker {
  static void take(const test::queue_item&, test::expectations&) {}  // in any order
};

template <std::uint32_t Capacity>
void race(std::size_t thieves) {
  using deque = weft::detail::spawn_deque<test::queue_item, Capacity>;
  test::race_for_items<taker>(thieves, test::many_items, &deque::take_oldest);
}

}  // namespace

TEST_CASE("spawn_deque I2: an owner and thieves take each item exactly once", "[sched][stress]") {
  race<1>(1);
  race<4>(2);
  race<256>(3);
}
