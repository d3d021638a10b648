// Stress of the take-away word by itself: two machines that work with one processor in brackets,
// and a taker that moves it from one to the other. Whoever holds it touches plain data.
#include "weft/sched/take_away.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/record.hpp"
#include "support/seed.hpp"
#include "weft/arch/clock.hpp"
#include "weft/netpoll/epoll.hpp"
#include "weft/sched/scheduler.hpp"

using weft::detail::machine;
using weft::detail::processor;

namespace {

void linger(std::uint64_t steps) {
  for (; steps != 0; --steps) weft::detail::compiler_fence();
}

// The machines' home: it only has to be there. Seeded, so that it has no sysmon.
class bare_scheduler {
 public:
  ~bare_scheduler() { static_cast<void>(scheduler_.stop(weft::detail::end_policy::abandon)); }
  weft::detail::scheduler& get() { return scheduler_; }

 private:
  static weft::detail::scheduler_options options() {
    weft::detail::scheduler_options o;
    o.seed = 1;
    o.make_poller = weft::detail::make_epoll_poller;
    return o;
  }
  weft::detail::scheduler scheduler_{options()};
};

// The processor, with what belongs to it beside: volatile, so that each touch is in memory.
class shared_processor {
 public:
  explicit shared_processor(test::expectations& e) : e_(e) {}

  processor p{0};

  // By whoever holds it.
  void touch(std::uint64_t who) {
    e_.that(user_ == 0, "nobody touches the processor when its holder comes");
    user_ = who;
    const std::uint64_t before = touches_;
    linger(20);
    e_.that(touches_ == before, "nobody touches it beside its holder");
    touches_ = before + 1;
    e_.that(user_ == who, "nobody has come while its holder was there");
    user_ = 0;
  }
  [[nodiscard]] std::uint64_t touches() const { return touches_; }

 private:
  test::expectations& e_;
  volatile std::uint64_t user_ = 0;
  volatile std::uint64_t touches_ = 0;
};

class contest {
 public:
  explicit contest(std::uint64_t seed) : seed_(seed) {}

  // Some rounds at least, and as many as fit into a short time: where the threads do not run at
  // once, a round takes a slice of the system's.
  void run() {
    give(machines_[0]);
    std::vector<std::thread> threads;
    std::array<std::uint64_t, 2> touched{};
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      threads.emplace_back([this, i, &touched] { work(machines_[i], touched[i]); });
    }
    test::random random(seed_, 0);
    const std::int64_t start = weft::detail::monotonic_ns();
    const auto within = [start](std::int64_t limit) {
      return weft::detail::monotonic_ns() - start < limit;
    };
    // On a machine that is busy with something else the first take may be long in coming.
    for (int i = 0;
         i < 20 || (i < 5000 && within(700'000'000)) || (taken_ == 0 && within(30'000'000'000));
         ++i) {
      if (!ask_and_take(random)) break;
    }
    ends_.store(true, std::memory_order_relaxed);
    for (std::thread& t : threads) t.join();
    CHECK(e_.failures() == "");
    CHECK(taken_ > 0);
    CHECK(shared_.touches() == taken_ + touched[0] + touched[1]);
  }

 private:
  static constexpr std::uint64_t taker = 100;  // beside the machines' numbers

  void give(const machine& m) { given_to_.store(m.id, std::memory_order_release); }

  // A machine: brackets, and plain code between them.
  void work(machine& m, std::uint64_t& touched) {
    test::random random(seed_, m.id);
    std::vector<unsigned char> cold(std::size_t{16} << 20U);
    while (!ends_.load(std::memory_order_relaxed)) {
      // Stores to memory that is in no cache hold up the bracket's store, not the look after it.
      for (int i = 0; i < 8; ++i) cold[random.below(cold.size())] = 1;
      const std::uint32_t outer = weft::detail::enter(m);
      if (m.is_hog) {
        e_.that(m.p == nullptr, "who is told that the processor was taken has it no more");
        m.is_hog = false;
      }
      if (given_to_.load(std::memory_order_acquire) == m.id) accept(m);
      if (m.p != nullptr) {
        shared_.touch(m.id);
        const std::uint32_t inner = weft::detail::enter(m);
        shared_.touch(m.id);
        weft::detail::leave(m, inner);
        shared_.touch(m.id);
        touched += 3;
        turns_.fetch_add(1, std::memory_order_relaxed);
      }
      weft::detail::leave(m, outer);
    }
  }

  void accept(machine& m) {
    e_.that(m.p == nullptr, "a machine that is given the processor does not have it");
    given_to_.store(0, std::memory_order_relaxed);
    m.p = &shared_.p;
    shared_.p.status.store(processor::word(processor::running, m.id), std::memory_order_release);
  }

  // The taker: asks the holder, takes at once or a little later, and gives to the other machine.
  // False: what must not happen has happened, and the processor may be lost.
  bool ask_and_take(test::random& random) {
    wait_for_turn();
    machine& m = machines_[holder_];
    linger(random.below(400));
    std::uint32_t number = weft::detail::ask_for_processor(m);
    e_.that(number != 0, "no earlier request stands");
    linger(random.below(4) == 0 ? random.below(400) : 0);
    const std::uint32_t later = weft::detail::ask_for_processor(m);
    if (later != 0 && later != number) {
      e_.that(!weft::detail::is_unanswered(m, number), "who may be asked again has answered");
      if (!takes_nothing(m, number, "an old request")) return false;
      number = later;
    }
    if (!weft::detail::take_processor(m, shared_.p, number)) return true;
    shared_.p.status.store(processor::idle, std::memory_order_relaxed);
    shared_.touch(taker);
    linger(random.below(400));
    shared_.touch(taker);
    taken_ += 2;
    if (!takes_nothing(m, number, "a request that was granted")) return false;
    holder_ = 1 - holder_;
    give(machines_[holder_]);
    return true;
  }

  bool takes_nothing(machine& m, std::uint32_t number, std::string_view request) {
    const bool takes = weft::detail::take_processor(m, shared_.p, number);
    e_.that(!takes, std::string(request) + " takes nothing");
    return !takes;
  }

  // The holder runs, most likely right now.
  void wait_for_turn() {
    const std::uint64_t before = turns_.load(std::memory_order_relaxed);
    for (int looks = 0; turns_.load(std::memory_order_relaxed) == before; ++looks) {
      if (looks > 1000) std::this_thread::yield();
    }
  }

  const std::uint64_t seed_;
  test::expectations e_;
  bare_scheduler home_;
  shared_processor shared_{e_};
  std::array<machine, 2> machines_{machine(home_.get(), 1), machine(home_.get(), 2)};
  std::size_t holder_ = 0;
  std::uint64_t taken_ = 0;
  alignas(64) std::atomic<std::uint64_t> given_to_{0};
  alignas(64) std::atomic<std::uint64_t> turns_{0};
  alignas(64) std::atomic<bool> ends_{false};
};

}  // namespace

TEST_CASE("take_away I1: a processor is touched by its holder only, with and without membarrier",
          "[sched][stress][SC-11]") {
  const std::uint64_t seed = test::seed();
  for (const bool use_membarrier : {true, false}) {
    contest c(seed);
    if (use_membarrier && weft::detail::fence_needs_instruction.load(weft::detail::relaxed))
      continue;  // there is none
    weft::detail::set_fences_for_testing(use_membarrier);
    INFO((use_membarrier ? "with membarrier" : "with full fences"));
    c.run();
  }
  weft::detail::prepare_fences();
}
