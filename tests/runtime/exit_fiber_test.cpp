// exit_fiber inside of what runs a callable for somebody: each part's own rule holds.
#include <system_error>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"
#include "weft/group.hpp"
#include "weft/runtime.hpp"
#include "weft/singleflight.hpp"
#include "weft/sync.hpp"

TEST_CASE("exit_fiber: inside once, wait_group::go, group, singleflight and join",
          "[runtime][unit][SC-14]") {
  test::run_with_procs([] {
    int runs = 0;
    bool went_on = false;
    weft::once once;
    const auto has_exited = [](const std::system_error& e) {
      return e.code() == weft::errc::fiber_exited;
    };

    // once: it counts as done, and the caller has ended.
    weft::join_handle<void> first = weft::spawn([&] {
      once.call([&] {
        ++runs;
        weft::exit_fiber();
      });
      went_on = true;
    });
    bool tells = false;
    try {
      first.join();
    } catch (const std::system_error& e) {
      tells = has_exited(e);
    }
    CHECK(tells);
    once.call([&] { ++runs; });
    CHECK(runs == 1);

    // wait_group::go: done.
    weft::wait_group members;
    members.go([&] {
      weft::exit_fiber();
      went_on = true;
    });
    members.wait();

    // group: ended without an error, and its place is free again.
    weft::group group;
    group.set_limit(1);
    group.go([] { weft::exit_fiber(); });
    bool second_ran = false;
    group.go([&] { second_ran = true; });
    group.wait();
    CHECK(second_ran);

    // singleflight: who waits gets an error, and the key is free again.
    weft::singleflight<int, int> flights;
    const weft::chan<int> inside = weft::make_chan<int>();
    const weft::chan<int> leave = weft::make_chan<int>();
    weft::go([&] {
      flights.run(1, [&]() -> int {
        inside.send(1);
        static_cast<void>(leave.recv());
        weft::exit_fiber();
      });
      went_on = true;
    });
    static_cast<void>(inside.recv());
    weft::join_handle<bool> waits = weft::spawn([&] {
      try {
        flights.run(1, [] { return 2; });
      } catch (const std::system_error& e) {
        return has_exited(e);
      }
      return false;
    });
    test::until_blocked(2);
    leave.send(1);
    CHECK(waits.join());
    CHECK(flights.run(1, [] { return 3; }).value == 3);

    // join, also when the fiber is joined later than it ends.
    weft::join_handle<int> left = weft::spawn([]() -> int { weft::exit_fiber(); });
    test::until([] { return weft::num_fibers() == 1; }, "it has ended");
    CHECK_THROWS_AS(left.join(), std::system_error);
    CHECK_FALSE(went_on);
  });
}
