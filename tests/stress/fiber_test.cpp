// Stress of waking fibers: plain threads, timers, channels and cancellations come at once, and each
// park ends once. A fiber in two queues would run twice at a time, or wake from a later park for
// nothing.
#include "weft/sched/fiber.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

using test::kind;
using test::task;

namespace {

constexpr int each = test::sanitized ? 100 : 500;
constexpr std::size_t sleepers = 8;

// One fiber that is woken from all sides, and what it has counted.
class sleeper {
 public:
  explicit sleeper(test::expectations& e) : e_(e) {}

  // What wakes it: values for its selects, and tokens for the parks that nothing else may end.
  weft::chan<int> values = weft::make_chan<int>();
  weft::chan<int> tokens = weft::make_chan<int>();
  std::atomic<int> wanted_token{0};

  void run(test::random& random) {
    for (int i = 1; i <= each; ++i) {
      const auto [ctx, cancel] = weft::with_timeout(weft::context{}, some_us(random));
      const auto after_park = [&] { e_.that(!runs_.exchange(true), "it runs once at a time"); };
      runs_.store(false);
      switch (random.below(4)) {
        case 0: {
          std::error_code ec;
          static_cast<void>(values.recv(ctx, ec));
          break;
        }
        case 1:
          weft::select(weft::recv(values), weft::timeout(some_us(random)), weft::done(ctx));
          break;
        case 2: {
          // Two that fire at the same moment.
          const weft::clock::time_point due = weft::clock::now() + some_us(random);
          weft::select(weft::recv(values), weft::deadline(due), weft::deadline(due));
          break;
        }
        default:
          weft::select(weft::recv(values), weft::send(values, i), weft::timeout(some_us(random)));
          break;
      }
      after_park();
      // Now a park that only the token ends: a wake-up too many of the one before would end it.
      wanted_token.store(i);
      runs_.store(false);
      const std::optional<int> token = tokens.recv();
      after_park();
      e_.that(token == i, "the token of this round has woken it");
    }
    wanted_token.store(-1);
  }

 private:
  static std::chrono::microseconds some_us(test::random& random) {
    return std::chrono::microseconds(random.below(60));
  }

  test::expectations& e_;
  std::atomic<bool> runs_{true};
};

// Gives each token that is asked for, and values to whoever waits, until all have ended.
void wake_all_of(std::vector<std::unique_ptr<sleeper>>& all, bool gives_tokens) {
  std::array<int, sleepers> given{};
  for (std::size_t ended = 0; ended != all.size();) {
    ended = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      sleeper& s = *all[i];
      const int wanted = s.wanted_token.load();
      if (wanted < 0) {
        ++ended;
      } else {
        static_cast<void>(s.values.try_send(wanted));
        if (gives_tokens && wanted != given[i] && s.tokens.try_send(wanted)) given[i] = wanted;
      }
    }
    test::relax();
  }
}

}  // namespace

TEST_CASE("fiber I1: woken by threads, timers and channels at once, each park ends once",
          "[sched][stress][SC-08][SC-10]") {
  const std::uint64_t seed = test::seed();
  test::run_with_procs([seed](unsigned procs) {
    test::expectations e;
    std::vector<std::unique_ptr<sleeper>> all;
    for (std::size_t i = 0; i < sleepers; ++i) all.push_back(std::make_unique<sleeper>(e));
    std::vector<task> tasks;
    for (std::size_t i = 0; i < sleepers; ++i) {
      tasks.emplace_back(kind::fiber, [&, i] {
        test::random random(seed, 100 * procs + i);
        all[i]->run(random);
      });
    }
    // The tokens of each come from one place; the values from three.
    tasks.emplace_back(kind::thread, [&] { wake_all_of(all, true); });
    tasks.emplace_back(kind::thread, [&] { wake_all_of(all, false); });
    tasks.emplace_back(kind::fiber, [&] { wake_all_of(all, false); });
    test::join(tasks);
    CHECK(e.failures() == "");
  });
}
