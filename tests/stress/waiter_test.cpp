// Stress of waits that several sources may end: a list that delivers, a cancellation and a deadline
// race, and the memory of a wait is freed as soon as park has returned.
#include "weft/sched/waiter.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/cancel_source.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

using test::kind;
using test::task;
using weft::detail::cancel_source;
using weft::detail::claim;
using weft::detail::lock_guard;
using weft::detail::multi_wait;
using weft::detail::spinlock;
using weft::detail::wait_list;
using weft::detail::wait_reason;
using weft::detail::waiter;

namespace {

constexpr std::uint64_t scale = test::sanitized ? 4 : 20;

constexpr std::uint32_t by_list = 0;
constexpr std::uint32_t by_cancel = 1;
constexpr std::uint32_t by_deadline = 2;

// A wait with all that sources touch, in one block, so that a late touch is a use after free.
struct operation {
  std::uint64_t value = 0;
  waiter place;
  multi_wait wait{wait_reason::select, &place, 1};

  operation() {
    place.index = by_list;
    place.slot = &value;
  }
};

// The cancellation that new waits watch; a fired one is replaced.
class current_source {
 public:
  std::shared_ptr<cancel_source> get() {
    lock_guard held(lock_);
    return source_;
  }
  void fire() {
    auto next = std::make_shared<cancel_source>();
    std::shared_ptr<cancel_source> fired;
    {
      lock_guard held(lock_);
      fired = std::exchange(source_, std::move(next));
    }
    fired->fire();
  }

 private:
  spinlock lock_;
  std::shared_ptr<cancel_source> source_ = std::make_shared<cancel_source>();
};

// What the waiting side and the firing sides share, and what they have counted.
struct field {
  spinlock lock;
  wait_list list;
  current_source cancel;
  test::expectations e;
  test::tally delivered;
  test::tally received;
  test::tally cancelled;
  test::tally expired;
  test::tally ended;  // tasks that wait no more
};

// Releases the lock and stays for a while: the wait may be over before the commit is.
void unlock_and_linger(void* shared) noexcept {
  static_cast<field*>(shared)->lock.unlock();
  for (int i = 0; i < 2000; ++i) weft::detail::compiler_fence();
}

// One wait, with a random choice of sources.
void wait_once(field& f, test::random& random) {
  std::shared_ptr<cancel_source> watched;  // lives longer than the wait
  auto op = std::make_unique<operation>();
  op->place.guard = &f.lock;
  if (random.below(4) != 0) {
    watched = f.cancel.get();
    if (!op->wait.watch(*watched, by_cancel)) return;
  }
  if (random.below(4) != 0) {
    const auto due = static_cast<std::int64_t>(random.below(60'000));
    op->wait.arm_deadline(weft::detail::now_ns() + due - 10'000, by_deadline);
  }
  f.lock.lock();
  f.list.push_back(op->place);
  const std::uint32_t index =
      random.below(2) == 0 ? op->wait.park(f.lock) : op->wait.park(unlock_and_linger, &f);
  f.e.that(op->place.ok == (index == by_list), "a value came if the list says so");
  f.e.that((op->value != 0) == op->place.ok, "and not otherwise");
  f.e.that(index != by_cancel || (watched != nullptr && watched->is_fired()),
           "only what was fired cancels");
  (index == by_list ? f.received : index == by_cancel ? f.cancelled : f.expired).add();
}

void deliver_once(field& f, std::uint64_t value) {
  waiter* w = nullptr;
  {
    lock_guard held(f.lock);
    for (;;) {
      w = f.list.pop_front();
      if (w == nullptr) return;
      const claim c = w->state->try_claim(w->index);
      f.e.that(c != claim::running, "the owner keeps the lock until its wait is open");
      if (c == claim::parked) break;
    }
    *static_cast<std::uint64_t*>(w->slot) = value;
    w->ok = true;
  }
  f.delivered.add();
  w->state->wake();
}

}  // namespace

TEST_CASE("waiter I2: a wait that is freed when park returns is touched by no source any more",
          "[sched][stress]") {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([seed](unsigned procs) {
    constexpr std::uint64_t each = 200 * scale;
    constexpr int waits = 10;
    field f;
    std::vector<task> waiting;
    std::vector<task> firing;
    for (std::uint64_t i = 0; i < waits; ++i) {
      waiting.emplace_back(i % 5 == 4 ? kind::thread : kind::fiber, [&, i] {
        test::random random(seed, procs * 100 + i);
        for (std::uint64_t n = 0; n < each; ++n) wait_once(f, random);
        f.ended.add();
      });
    }
    for (std::uint64_t i = 0; i < 4; ++i) {
      firing.emplace_back(i % 2 == 0 ? kind::thread : kind::fiber, [&, i] {
        test::random random(seed, procs * 100 + 50 + i);
        while (f.ended.count() != waits) {
          if (random.below(3) != 0) {
            deliver_once(f, 1 + random.below(1000));
          } else {
            f.cancel.fire();
          }
          if (random.below(2) == 0) test::relax();
        }
      });
    }
    test::join(waiting);
    test::join(firing);
    CHECK(f.e.failures() == "");
    CHECK(f.received.count() == f.delivered.count());
    CHECK(f.list.empty());
    CHECK(f.received.count() > 0);
  });
}

TEST_CASE("waiter I3: a source that delivers never meets a wait whose owner is still arming it",
          "[sched][chan][stress]") {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([seed](unsigned procs) {
    constexpr std::uint64_t each = 50 * scale;
    const weft::chan<int> one = weft::make_chan<int>();
    const weft::chan<int> two = weft::make_chan<int>(1);
    test::expectations e;
    constexpr int receivers = 8;
    test::tally ended;
    test::tally met;
    std::vector<task> tasks;
    for (std::uint64_t i = 0; i < receivers; ++i) {
      tasks.emplace_back(i % 4 == 3 ? kind::thread : kind::fiber, [&, i] {
        test::random random(seed, procs * 100 + i);
        for (std::uint64_t n = 0; n < each; ++n) {
          const auto limit = std::chrono::microseconds(random.below(50));
          if (random.below(2) == 0) {
            weft::select(weft::recv(one), weft::recv(two), weft::timeout(limit));
          } else {
            const auto [ctx, cancel] = weft::with_timeout(weft::context{}, limit);
            std::error_code ec;
            static_cast<void>((n % 2 == 0 ? one : two).recv(ctx, ec));
          }
        }
        ended.add();
      });
    }
    // Claims as a channel does, and tells the owner to begin again.
    const auto claim_first = [&](const weft::chan<int>& ch) {
      auto& core = *weft::detail::chan_access::core(ch);
      waiter* woken = nullptr;
      {
        lock_guard held(core.lock());
        waiter* w = core.receivers().pop_front();
        if (w == nullptr) return;
        const claim c = w->state->try_claim(w->index);
        e.that(c != claim::running, "the owner keeps the lock until its wait is open");
        if (c == claim::parked) {
          w->retry = true;
          woken = w;
        }
      }
      if (woken == nullptr) return;
      met.add();
      woken->state->wake();
    };
    for (const kind k : test::both_kinds) {
      tasks.emplace_back(k, [&] {
        while (ended.count() != receivers) {
          claim_first(one);
          claim_first(two);
          test::relax();
        }
      });
    }
    test::join(tasks);
    CHECK(e.failures() == "");
    CHECK(met.count() > 0);
  });
}
