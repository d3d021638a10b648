// Tests of the take-away word by itself, one thread playing both sides: what a request means later.
#include "weft/sched/take_away.hpp"

#include <cstdint>

#include "support/catch.hpp"
#include "weft/netpoll/epoll.hpp"
#include "weft/sched/scheduler.hpp"

using weft::detail::machine;
using weft::detail::processor;

namespace {

weft::detail::scheduler_options without_sysmon() {
  weft::detail::scheduler_options o;
  o.seed = 1;
  o.make_poller = weft::detail::make_epoll_poller;
  return o;
}

// A machine that holds a processor; its scheduler only has to be there.
class holder {
 public:
  holder() {
    // As a machine's thread does when it begins.
    m.passes_full_fences.store(weft::detail::fence_needs_instruction.load(weft::detail::relaxed),
                               weft::detail::release);
    hold();
  }
  ~holder() { static_cast<void>(home_.stop(weft::detail::end_policy::abandon)); }

  void hold() {
    m.p = &p;
    p.status.store(processor::word(processor::running, m.id), weft::detail::release);
  }

 private:
  weft::detail::scheduler home_{without_sysmon()};

 public:
  processor p{0};
  machine m{home_, 1};
};

}  // namespace

TEST_CASE("take_away: a request that nobody remembers is taken up by the next question",
          "[sched][unit][SC-11]") {
  holder h;
  const std::uint32_t outer = weft::detail::enter(h.m);
  const std::uint32_t number = weft::detail::ask_for_processor(h.m);
  REQUIRE(number != 0);
  // The bracket does not look again: the request stands, and the machine computes for ever.
  weft::detail::leave(h.m, outer);
  CHECK(weft::detail::ask_for_processor(h.m) == number);
  CHECK(weft::detail::is_unanswered(h.m, number));
  CHECK(weft::detail::take_processor(h.m, h.p, number));
  CHECK(weft::detail::ask_for_processor(h.m) == 0);
}

TEST_CASE("take_away: an entry answers, and the next question is a new one",
          "[sched][unit][SC-11]") {
  holder h;
  const std::uint32_t number = weft::detail::ask_for_processor(h.m);
  weft::detail::leave(h.m, weft::detail::enter(h.m));
  CHECK_FALSE(weft::detail::is_unanswered(h.m, number));
  CHECK_FALSE(weft::detail::take_processor(h.m, h.p, number));
  const std::uint32_t next = weft::detail::ask_for_processor(h.m);
  CHECK(next != 0);
  CHECK(next != number);
  CHECK_FALSE(weft::detail::take_processor(h.m, h.p, number));
  CHECK(weft::detail::take_processor(h.m, h.p, next));
}

TEST_CASE("take_away: a processor that was lent or changed since the request is not taken",
          "[sched][unit][SC-11]") {
  holder h;
  const std::uint32_t outer = weft::detail::enter(h.m);
  std::uint32_t number = weft::detail::ask_for_processor(h.m);
  // Inside the bracket that the request fell into.
  h.p.status.store(processor::word(processor::blocking, h.m.id), weft::detail::release);
  weft::detail::leave(h.m, outer);
  CHECK_FALSE(weft::detail::take_processor(h.m, h.p, number));
  CHECK_FALSE(weft::detail::is_unanswered(h.m, number));

  number = weft::detail::ask_for_processor(h.m);
  h.p.status.store(processor::word(processor::running, h.m.id + 1), weft::detail::release);
  CHECK_FALSE(weft::detail::take_processor(h.m, h.p, number));
  h.hold();
  number = weft::detail::ask_for_processor(h.m);
  CHECK(weft::detail::take_processor(h.m, h.p, number));
}

TEST_CASE("take_away: inside the runtime a machine keeps its processor", "[sched][unit][SC-11]") {
  holder h;
  const std::uint32_t outer = weft::detail::enter(h.m);
  const std::uint32_t number = weft::detail::ask_for_processor(h.m);
  CHECK_FALSE(weft::detail::take_processor(h.m, h.p, number));
  CHECK_FALSE(weft::detail::is_unanswered(h.m, number));
  CHECK(h.m.p == &h.p);
  weft::detail::leave(h.m, outer);
}
