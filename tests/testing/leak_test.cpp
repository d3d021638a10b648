// Finding fibers that were left behind.
#include <atomic>
#include <chrono>
#include <string>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/testing.hpp"
#include "weft/time.hpp"

namespace leaky {

// Each with a frame of its own.
std::atomic<int> served{0};

WEFT_NOINLINE void wait_for_ever(const weft::chan<int>& ch) {
  (void)ch.recv();
  ++served;
}

WEFT_NOINLINE void serve(const weft::chan<int>& ch) {
  wait_for_ever(ch);
  ++served;
}

}  // namespace leaky

using namespace std::chrono_literals;

TEST_CASE("leaks: a fiber that a function leaves behind is listed with its stack",
          "[testing][unit][SC-34]") {
  weft::run([] {
    const weft::chan<int> ch = weft::make_chan<int>();
    const auto leaks = weft::testing::check_leaks(
        [&] { weft::go({.name = "left behind"}, [ch] { leaky::serve(ch); }); });
    REQUIRE(leaks.fibers.size() == 1);
    CHECK(leaks.fibers[0].name == "left behind");
    CHECK(leaks.fibers[0].state == "chan receive");
    REQUIRE_FALSE(leaks.fibers[0].stack.empty());
    const std::string text = to_string(leaks);
    CHECK(text.find("left behind") != std::string::npos);
    CHECK(text.find("leak_test.cpp") != std::string::npos);
    ch.close();
  });
}

TEST_CASE("leaks: none where all end, soon or after a while", "[testing][unit][SC-34]") {
  test::run_with_procs([] {
    const auto leaks = weft::testing::check_leaks([] {
      weft::go([] {});
      weft::go([] { weft::sleep_for(30ms); });
    });
    CHECK(leaks.fibers.empty());
    CHECK(weft::testing::find_leaks().fibers.empty());
    CHECK(to_string(leaks).empty());
  });
}

TEST_CASE("leaks: what is to be ignored", "[testing][unit][SC-34]") {
  // In a bubble: the looks cost no time there.
  weft::testing::bubble([] {
    const weft::chan<int> ch = weft::make_chan<int>();
    weft::go([ch] { leaky::serve(ch); });
    weft::testing::wait();
    const auto count = [](weft::testing::leak_options options) {
      return weft::testing::find_leaks(std::move(options)).fibers.size();
    };
    CHECK(count(weft::testing::ignore_current()) == 0);
    const auto all = weft::testing::find_leaks();
    REQUIRE(all.fibers.size() == 1);
    CHECK(count({.ignore = {all.fibers[0].id}, .ignore_top = {}, .ignore_any = {}}) == 0);
    CHECK(
        count({.ignore = {}, .ignore_top = {all.fibers[0].stack[0].function}, .ignore_any = {}}) ==
        0);
    CHECK(count({.ignore = {}, .ignore_top = {"leaky::serve"}, .ignore_any = {}}) == 1);
    CHECK(count({.ignore = {}, .ignore_top = {}, .ignore_any = {"leaky::serve"}}) == 0);
    CHECK(count({.ignore = {}, .ignore_top = {}, .ignore_any = {"leaky::ser"}}) == 1);
    ch.close();
  });
}

TEST_CASE("leaks: from a plain thread, and where the run ends in time", "[testing][unit][SC-34]") {
  CHECK(weft::testing::find_leaks().fibers.empty());
  weft::runtime r;
  const weft::chan<int> ch = weft::make_chan<int>();
  const auto leaks = weft::testing::check_leaks([&] { r.go([ch] { leaky::serve(ch); }); });
  CHECK(leaks.fibers.size() == 1);
  ch.close();
  CHECK(weft::testing::find_leaks().fibers.empty());
}

TEST_CASE("leaks: inside a bubble the look takes its time", "[testing][unit][SC-34]") {
  weft::testing::bubble([] {
    const auto start = weft::clock::now();
    const weft::chan<int> ch = weft::make_chan<int>();
    const auto leaks = weft::testing::check_leaks([&] {
      for (int i = 0; i < 3; ++i) weft::go([ch] { leaky::serve(ch); });
      weft::go([] { weft::sleep_for(10ms); });
    });
    CHECK(leaks.fibers.size() == 3);
    CHECK(weft::clock::now() - start > 500ms);
    CHECK(weft::clock::now() - start < 2s);
    ch.close();
  });
}
