// The tests that docs/testing.md shows, compiled and run.
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "weft/testing_catch.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;

// [service]
// Forgets what nobody has asked for in an hour.
class cache {
 public:
  void put(std::string value) {
    const std::lock_guard held(mutex_);
    value_ = std::move(value);
    timer_ = weft::after_func(1h, [this] { forget(); });
  }
  std::optional<std::string> get() {
    const std::lock_guard held(mutex_);
    return value_;
  }

 private:
  void forget() {
    const std::lock_guard held(mutex_);
    value_.reset();
  }

  weft::mutex mutex_;
  std::optional<std::string> value_;
  std::optional<weft::timer> timer_;
};
// [end]

}  // namespace

// [bubble]
WEFT_BUBBLE_TEST_CASE("the cache forgets after an hour", "[docs][unit]") {
  cache c;
  c.put("x");
  weft::sleep_for(1h - 1ns);
  weft::testing::wait();
  CHECK(c.get() == "x");
  weft::sleep_for(1ns);
  weft::testing::wait();  // its function has run
  CHECK_FALSE(c.get());
}
// [end]

// [explore]
TEST_CASE("two deposits", "[docs][unit]") {
  WEFT_CHECK_EXPLORE(
      [] {
        weft::mutex m;
        int balance = 0;
        const auto deposit = [&] {
          const std::lock_guard held(m);
          const int seen = balance;
          weft::yield();
          balance = seen + 1;
        };
        auto other = weft::spawn(deposit);
        deposit();
        other.join();
        if (balance != 2) throw std::logic_error("a deposit is lost");
      },
      {.schedules = 300});
}
// [end]

// [leaks]
TEST_CASE("a worker ends with its channel", "[docs][unit]") {
  weft::run([] {
    const auto leaks = weft::testing::check_leaks([] {
      const auto jobs = weft::make_chan<int>();
      weft::go([jobs] {
        for (const int job : jobs) static_cast<void>(job);
      });
      jobs.close();
    });
    INFO(to_string(leaks));
    CHECK(leaks.fibers.empty());
  });
}
// [end]
