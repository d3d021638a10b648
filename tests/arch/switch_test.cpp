// The context switch by itself: what belongs to a side stays with it, on the same thread and over a
// change of threads.
#include "weft/arch/switch.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "support/lone_fiber.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/seed.hpp"

using test::lone_fiber;

namespace {

// Live over the pause: some in registers, the rest on the stack.
template <class Pause>
std::uint64_t mix_around(std::uint64_t seed, Pause pause) {
  test::random random(seed, 0);
  std::array<std::uint64_t, 20> v;
  for (std::uint64_t& x : v) x = random.next();
  double d = static_cast<double>(seed % 1000) + 0.5;
  for (int round = 0; round < 50; ++round) {
    std::uint64_t a = v[0];
    std::uint64_t b = v[1];
    std::uint64_t c = v[2];
    const double before = d;
    pause();
    for (std::uint64_t& x : v) {
      a = a * 31 + x;
      b ^= a >> 7U;
      c += b;
      x ^= c;
    }
    d = before + static_cast<double>(a % 7);
  }
  std::uint64_t sum = static_cast<std::uint64_t>(d);
  for (const std::uint64_t x : v) sum = sum * 31 + x;
  return sum;
}

int handled_value() {
  try {
    if (std::current_exception() != nullptr) throw;
  } catch (int value) {
    return value;
  } catch (...) {
    return -1;
  }
  return 0;
}

// Pauses while it unwinds.
struct pausing {
  lone_fiber* f;
  test::expectations* e;
  ~pausing() {
    e->that(std::uncaught_exceptions() == 1, "one exception is in flight before the pause");
    f->pause();
    e->that(std::uncaught_exceptions() == 1, "and after it");
  }
};

// What a third is shows the rounding mode: of the unit of double (SSE on x86-64), and of the one of
// long double (the x87 there), where the nearest value is above it or below.
WEFT_NOINLINE bool rounds_up() {
  volatile double one = 1.0;
  volatile long double long_one = 1.0L;
  const bool short_up = one / 3 > 1.0 / 3 || -one / 3 > -1.0 / 3;
  const bool long_up = long_one / 3 > 1.0L / 3 || -long_one / 3 > -1.0L / 3;
  return short_up && long_up;
}

}  // namespace

TEST_CASE("switch: both sides find what they kept in registers and on the stack", "[arch][unit]") {
  std::uint64_t inside = 0;
  lone_fiber f([&](lone_fiber& self) { inside = mix_around(1, [&] { self.pause(); }); });
  const std::uint64_t outside = mix_around(2, [&] { f.resume(); });
  f.resume();
  REQUIRE(f.has_ended());
  const auto nothing = [] {};
  CHECK(inside == mix_around(1, nothing));
  CHECK(outside == mix_around(2, nothing));
}

TEST_CASE("switch: errno belongs to the side", "[arch][unit][SC-29]") {
  test::expectations e;
  lone_fiber f([&](lone_fiber& self) {
    e.that(test::errno_now() == 0, "it begins with none");
    for (int i = 1; i < 10; ++i) {
      test::set_errno(i);
      self.pause();
      e.that(test::errno_now() == i, "inside, after the pause");
    }
  });
  while (!f.has_ended()) {
    test::set_errno(ERANGE);
    f.resume();
    e.that(test::errno_now() == ERANGE, "outside, after the return");
  }
  CHECK(e.failures() == "");
}

TEST_CASE("switch: the exceptions being handled belong to the side", "[arch][unit][SC-16]") {
  test::expectations e;
  lone_fiber f([&](lone_fiber& self) {
    e.that(std::current_exception() == nullptr, "it begins with none");
    try {
      try {
        throw 1;
      } catch (int) {
        self.pause();
        e.that(handled_value() == 1, "the inner one, after a pause");
        try {
          throw 2;
        } catch (int) {
          self.pause();
          e.that(handled_value() == 2, "the nested one");
        }
        self.pause();
        throw;
      }
    } catch (int value) {
      e.that(value == 1, "what was thrown is what is caught");
      self.pause();
      e.that(handled_value() == 1, "what was thrown again");
    }
    self.pause();
    e.that(std::current_exception() == nullptr, "none in the end");
  });
  while (!f.has_ended()) {
    try {
      throw 100;
    } catch (int) {
      f.resume();
      e.that(handled_value() == 100, "outside, after the return");
      f.resume();
      e.that(handled_value() == 100, "outside, after another one");
    }
    e.that(std::current_exception() == nullptr, "outside, after the handler");
  }
  CHECK(e.failures() == "");
}

TEST_CASE("switch: uncaught_exceptions counts those of the side", "[arch][unit][SC-16]") {
  test::expectations e;
  lone_fiber f([&](lone_fiber& self) {
    try {
      const pausing p{&self, &e};
      throw 1;
    } catch (int value) {
      e.that(value == 1, "the exception arrives");
    }
    e.that(std::uncaught_exceptions() == 0, "none is left");
  });
  f.resume();
  CHECK(std::uncaught_exceptions() == 0);
  f.resume();
  CHECK(f.has_ended());
  CHECK(e.failures() == "");
}

TEST_CASE("switch: the floating-point modes belong to the side", "[arch][unit][SC-29]") {
  test::expectations e;
  lone_fiber f([&](lone_fiber& self) {
    std::fesetround(FE_UPWARD);
    for (int i = 0; i < 3; ++i) {
      e.that(std::fegetround() == FE_UPWARD && rounds_up(), "inside");
      self.pause();
    }
    std::fesetround(FE_TONEAREST);
  });
  while (!f.has_ended()) {
    f.resume();
    e.that(std::fegetround() == FE_TONEAREST && !rounds_up(), "outside");
  }
  CHECK(e.failures() == "");
}

TEST_CASE("switch: an execution goes on on another thread with all that is its own",
          "[arch][unit][SC-16][SC-29]") {
  test::expectations e;
  lone_fiber f([&](lone_fiber& self) {
    for (int i = 1; i <= 20; ++i) {
      try {
        throw i;
      } catch (int) {
        test::set_errno(i);
        const std::thread::id before = test::thread_now();
        self.pause();
        e.that(test::thread_now() != before, "the thread is another one");
        e.that(test::errno_now() == i, "errno has come along");
        e.that(handled_value() == i, "the exception has come along");
      }
    }
  });
  std::atomic<int> turn{0};
  const auto take_turns = [&](int mine) {
    for (;;) {
      while (turn.load() % 2 != mine) std::this_thread::yield();
      if (f.has_ended()) break;
      test::set_errno(ERANGE);
      f.resume();
      e.that(test::errno_now() == ERANGE, "a thread keeps its own errno");
      e.that(std::current_exception() == nullptr, "and its exceptions, of which it has none");
      turn.fetch_add(1);
    }
    turn.fetch_add(1);
  };
  std::thread other([&] { take_turns(1); });
  take_turns(0);
  other.join();
  CHECK(e.failures() == "");
}
