// The machine of the calling thread, asked for in code that goes on on another thread.
#include "weft/arch/tls.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>

#include "support/catch.hpp"
#include "support/lone_fiber.hpp"
#include "support/record.hpp"

using weft::detail::machine_words;
using weft::detail::set_this_machine;
using weft::detail::this_machine;

namespace {

struct seen_machines {
  machine_words* before;
  machine_words* after;
};

// One call between the two looks, and no branch: here compilers keep what they know of a
// thread-local.
WEFT_NOINLINE void pause(test::lone_fiber& f) { f.pause(); }
WEFT_NOINLINE seen_machines look_around_pause(test::lone_fiber& f) {
  machine_words* before = this_machine();
  pause(f);
  return {before, this_machine()};
}

}  // namespace

TEST_CASE("tls: the machine is right after a migration", "[arch][unit]") {
  constexpr int moves = 100;
  std::array<machine_words, 2> machines;
  std::atomic<int> turn{0};
  test::expectations e;
  // Both threads live all the time: an address that was kept is that of the other thread.
  test::lone_fiber f([&](test::lone_fiber& self) {
    const auto of_thread = [&] { return &machines[static_cast<std::size_t>(turn.load() % 2)]; };
    for (int i = 0; i < moves; ++i) {
      machine_words* expected = of_thread();
      const seen_machines seen = look_around_pause(self);
      e.that(seen.before == expected, "the machine is that of the thread");
      e.that(seen.after == of_thread(), "the machine is that of the new thread");
      e.that(seen.after != seen.before, "that is another one");
    }
  });
  const auto take_turns = [&](int mine) {
    set_this_machine(&machines[static_cast<std::size_t>(mine)]);
    for (;;) {
      while (turn.load() % 2 != mine) std::this_thread::yield();
      if (f.has_ended()) break;
      f.resume();
      turn.fetch_add(1);
    }
    set_this_machine(nullptr);
    turn.fetch_add(1);
  };
  std::thread other([&] { take_turns(1); });
  take_turns(0);
  other.join();
  CHECK(turn.load() >= moves);
  CHECK(e.failures() == "");
}

TEST_CASE("tls: a thread that is no machine has none", "[arch][unit]") {
  CHECK(this_machine() == nullptr);
  machine_words words;
  machine_words* elsewhere = &words;
  set_this_machine(&words);
  CHECK(this_machine() == &words);
  std::thread([&] { elsewhere = this_machine(); }).join();
  set_this_machine(nullptr);
  CHECK(elsewhere == nullptr);
  CHECK(this_machine() == nullptr);
}
