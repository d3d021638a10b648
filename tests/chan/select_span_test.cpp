// Select over case lists that are known at run time only.
#include <array>
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"
#include "weft/select.hpp"

using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;
using weft::select_case;

namespace {

template <class T>
std::vector<chan<T>> make_chans(std::size_t n, std::size_t capacity = 0) {
  std::vector<chan<T>> channels;
  for (std::size_t i = 0; i < n; ++i) channels.push_back(make_chan<T>(capacity));
  return channels;
}

}  // namespace

TEST_CASE("select: a case list receives into the slot of the chosen case only",
          "[select][unit][SE-22]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const std::vector<chan<int>> channels = make_chans<int>(5);
      for (std::size_t fires = 0; fires < channels.size(); ++fires) {
        std::vector<std::optional<int>> slots(channels.size());
        std::size_t index = 99;
        task selecting(k, [&] {
          std::vector<select_case> cases;
          for (std::size_t i = 0; i < channels.size(); ++i)
            cases.push_back(select_case::recv(channels[i], slots[i]));
          index = weft::select(cases);
        });
        selecting.until_blocked("select");
        channels[fires].send(static_cast<int>(fires) + 10);
        selecting.join();
        CHECK(index == fires);
        for (std::size_t i = 0; i < slots.size(); ++i)
          CHECK(slots[i] ==
                (i == fires ? std::optional(static_cast<int>(fires) + 10) : std::nullopt));
      }
    });
  }
}

TEST_CASE("select: a case list moves from the slot of the chosen send only",
          "[select][unit][SE-22][SE-13]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      using element = std::unique_ptr<int>;
      const std::vector<chan<element>> channels = make_chans<element>(3);
      for (std::size_t fires = 0; fires < 3; ++fires) {
        std::vector<element> slots;
        for (int i = 0; i < 3; ++i) slots.push_back(std::make_unique<int>(i));
        std::size_t index = 99;
        task selecting(k, [&] {
          std::vector<select_case> cases;
          for (std::size_t i = 0; i < 3; ++i)
            cases.push_back(select_case::send(channels[i], slots[i]));
          index = weft::select(cases);
        });
        selecting.until_blocked("select");
        CHECK(*channels[fires].recv().value() == static_cast<int>(fires));
        selecting.join();
        CHECK(index == fires);
        for (std::size_t i = 0; i < 3; ++i) CHECK((slots[i] == nullptr) == (i == fires));
      }
    });
  }
}

TEST_CASE("select: a closed channel gives an empty slot", "[select][unit][SE-22][SE-06]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(1);
    c.send(1);
    c.close();
    std::optional<int> slot = 77;
    std::array cases{select_case::recv(c, slot)};
    CHECK(weft::select(cases) == 0);
    CHECK(slot == 1);
    CHECK(weft::select(cases) == 0);
    CHECK(slot == std::nullopt);

    const chan<int> open = make_chan<int>();
    slot = 77;
    std::array blocking{select_case::recv(open, slot)};
    task closer(kind::fiber, [open] { open.close(); });
    CHECK(weft::select(blocking) == 0);
    closer.join();
    CHECK(slot == std::nullopt);
  });
}

TEST_CASE("select: a case list with two defaults is an error of use", "[select][unit][SE-22]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(1);
    c.send(1);
    std::optional<int> slot;
    std::vector<select_case> cases{select_case::otherwise(), select_case::recv(c, slot),
                                   select_case::otherwise()};
    CHECK_THROWS_AS(weft::select(cases), std::logic_error);
    CHECK(c.size() == 1);
    CHECK(slot == std::nullopt);
    cases.pop_back();
    CHECK(weft::select(cases) == 1);
    CHECK(slot == 1);
  });
}

TEST_CASE("select: a thousand cases work, ready or blocked", "[select][unit][SE-22]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const std::vector<chan<std::size_t>> channels = make_chans<std::size_t>(1000);
      test::expectations e;
      const chan<weft::unit> go_on = make_chan<weft::unit>();
      constexpr std::size_t rounds = 20;
      task selecting(k, [&] {
        std::vector<std::optional<std::size_t>> slots(channels.size());
        std::vector<select_case> cases;
        for (std::size_t i = 0; i < channels.size(); ++i)
          cases.push_back(select_case::recv(channels[i], slots[i]));
        for (std::size_t i = 0; i < rounds; ++i) {
          if (i % 2 == 0) (void)go_on.recv();
          const std::size_t index = weft::select(cases);
          e.that(slots[index] == i, "the value of the chosen case");
          e.that(index == i * 37 % 1000, "the index of the case that fired");
          slots[index].reset();
        }
        cases.push_back(select_case::otherwise());
        e.that(weft::select(cases) == 1000, "nothing is ready");
      });
      for (std::size_t i = 0; i < rounds; ++i) {
        if (i % 2 == 0) {
          // The sender waits before the select begins.
          task sender(kind::fiber, [&, i] { channels[i * 37 % 1000].send(i); });
          sender.until_blocked("chan send");
          go_on.send({});
          sender.join();
        } else {
          selecting.until_blocked("select");
          channels[i * 37 % 1000].send(i);
        }
      }
      selecting.join();
      CHECK(e.failures() == "");
    });
  }
}

TEST_CASE("select: a case list may be used again", "[select][unit][SE-22]") {
  test::run_with_procs([] {
    const chan<int> a = make_chan<int>(1);
    const chan<int> b = make_chan<int>(1);
    int value = 1;
    std::optional<int> slot;
    std::array cases{select_case::send(a, value), select_case::recv(b, slot)};
    CHECK(weft::select(cases) == 0);
    b.send(5);
    CHECK(weft::select(cases) == 1);
    CHECK(slot == 5);
    CHECK(a.recv() == 1);
    value = 2;
    CHECK(weft::select(cases) == 0);
    CHECK(a.recv() == 2);
  });
}

TEST_CASE("select: a loop over sources ends by setting each channel variable to nil",
          "[select][unit][SE-23]") {
  constexpr int each = 50;
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("sources: " << test::name_of(k));
      chan<int> a = make_chan<int>();
      chan<int> b = make_chan<int>(3);
      weft::recv_chan<int> c;  // nil from the beginning
      const chan<int> third = make_chan<int>();
      c = third;
      std::vector<task> sources;
      for (const chan<int>& source : {a, b, third})
        sources.emplace_back(k, [source] {
          for (int i = 0; i < each; ++i) source.send(i);
          source.close();
        });
      std::array<int, 3> next{};
      int ends = 0;
      const auto take = [&](std::size_t i, std::optional<int> v, auto& channel) {
        if (v.has_value()) {
          CHECK(*v == next[i]++);
        } else {
          ++ends;
          channel = {};
        }
      };
      while (a || b || c) {
        weft::select(weft::recv(a, [&](std::optional<int> v) { take(0, v, a); }),
                     weft::recv(b, [&](std::optional<int> v) { take(1, v, b); }),
                     weft::recv(c, [&](std::optional<int> v) { take(2, v, c); }));
        REQUIRE(ends <= 3);
      }
      CHECK(next == std::array{each, each, each});
      test::join(sources);
    });
  }
}

TEST_CASE("select: a case list merges a hundred sources", "[select][unit][SE-22][SE-23]") {
  constexpr std::size_t n = 100;
  test::run_with_procs([] {
    std::vector<chan<std::size_t>> channels = make_chans<std::size_t>(n);
    std::vector<task> sources;
    for (std::size_t i = 0; i < n; ++i)
      sources.emplace_back(i % 25 == 0 ? kind::thread : kind::fiber, [source = channels[i], i] {
        for (std::size_t v = 0; v < 5; ++v) source.send(i * 5 + v);
        source.close();
      });
    std::vector<std::optional<std::size_t>> slots(n);
    std::vector<int> seen(n * 5, 0);
    std::size_t open = n;
    while (open > 0) {
      std::vector<select_case> cases;
      for (std::size_t i = 0; i < n; ++i) cases.push_back(select_case::recv(channels[i], slots[i]));
      const std::size_t i = weft::select(cases);
      if (slots[i].has_value()) {
        ++seen[*slots[i]];
      } else {
        channels[i] = {};
        --open;
      }
    }
    test::join(sources);
    CHECK(seen == std::vector<int>(n * 5, 1));
  });
}
