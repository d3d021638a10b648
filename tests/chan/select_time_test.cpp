// The cases of select that are not channels: contexts, timeouts and deadlines, by the real clock.
//
// Lower bounds of time are exact. "Soon" is ten times the named time and 100 ms.
#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

using namespace std::chrono_literals;
using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;
using weft::select_case;
using weft::unit;

namespace {

using duration = weft::clock::duration;

// The upper bounds do not hold for the machine of a sanitizer's build.
bool is_soon(duration elapsed, duration named) {
#if WEFT_TSAN || WEFT_ASAN
  return elapsed <= 10 * (10 * named + 100ms);
#else
  return elapsed <= 10 * named + 100ms;
#endif
}

}  // namespace

TEST_CASE("select: a timer case fires soon while two fibers keep another channel busy",
          "[select][os][SE-24]") {
  test::run_with_procs([] {
    for (const bool by_channel : {true, false}) {
      INFO((by_channel ? "a timer's channel" : "a deadline case"));
      const chan<int> c = make_chan<int>();
      const chan<unit> quit = make_chan<unit>();
      std::vector<task> busy;
      for (int i = 0; i < 2; ++i)
        busy.emplace_back(kind::fiber, [=] {
          bool has_ended = false;
          while (!has_ended)
            weft::select(weft::send(c, i), weft::recv(quit, [&] { has_ended = true; }));
        });
      const weft::clock::time_point start = weft::clock::now();
      const weft::clock::time_point due = start + 20ms;
      weft::recv_chan<weft::clock::time_point> tick;
      if (by_channel) tick = weft::after(20ms);
      long received = 0;
      bool fired = false;
      while (!fired) {
        if (by_channel) {
          weft::select(weft::recv(c, [&] { ++received; }), weft::recv(tick, [&] { fired = true; }));
        } else {
          weft::select(weft::recv(c, [&] { ++received; }),
                       weft::deadline(due, [&] { fired = true; }));
        }
      }
      const duration elapsed = weft::clock::now() - start;
      quit.close();
      test::join(busy);
      CHECK(elapsed >= 20ms);
      CHECK(is_soon(elapsed, 20ms));
      CHECK(received > 0);
    }
  });
}

TEST_CASE("select: a timer case of a fiber fires soon while two others play ping-pong",
          "[select][os][SE-24]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>();
    const chan<unit> quit = make_chan<unit>();
    std::vector<task> busy;
    busy.emplace_back(kind::fiber, [=] {
      while (weft::select(weft::send(c, 1), weft::recv(quit)) == 0) {
      }
    });
    busy.emplace_back(kind::fiber, [=] {
      while (weft::select(weft::recv(c), weft::recv(quit)) == 0) {
      }
    });
    const weft::clock::time_point start = weft::clock::now();
    while (weft::select(weft::recv(c), weft::deadline(start + 20ms)) == 0) {
    }
    const duration elapsed = weft::clock::now() - start;
    quit.close();
    test::join(busy);
    CHECK(elapsed >= 20ms);
    CHECK(is_soon(elapsed, 20ms));
  });
}

TEST_CASE("select: a timeout of zero or less is ready at once", "[select][unit][SE-27]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      test::expectations e;
      task selecting(k, [&] {
        const chan<int> never = make_chan<int>();
        for (const duration d : {duration(0), duration(-1), duration::min()}) {
          int ran = 0;
          e.that(weft::select(weft::recv(never), weft::timeout(d, [&] { ++ran; })) == 1, "timeout");
          e.that(weft::select(weft::timeout(d, [&] { ++ran; }), weft::otherwise()) == 0,
                 "a timeout that is ready comes before otherwise");
          e.that(ran == 2, "the handler runs");
          std::optional<int> slot;
          std::array cases{select_case::recv(never, slot), select_case::timeout(d)};
          e.that(weft::select(cases) == 1, "in a list");
        }
        const weft::clock::time_point now = weft::clock::now();
        e.that(weft::select(weft::recv(never), weft::deadline(now)) == 1, "a deadline of now");
        e.that(weft::select(weft::deadline(now - 1h), weft::otherwise()) == 0, "a past deadline");
        std::array cases{select_case::deadline(now), select_case::otherwise()};
        e.that(weft::select(cases) == 0, "a past deadline in a list");
      });
      selecting.join();
      CHECK(e.failures() == "");
    });
  }
}

TEST_CASE("select: a timeout ends a blocked select, never early and soon", "[select][os][SE-27]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const chan<int> in = make_chan<int>();
      const chan<int> out = make_chan<int>();
      duration by_timeout{};
      duration by_deadline{};
      std::array<std::size_t, 2> index{};
      int ran = 0;
      task selecting(k, [&] {
        const weft::clock::time_point start = weft::clock::now();
        index[0] = weft::select(weft::recv(in), weft::send(out, 1),
                                weft::timeout(20ms, [&] { ++ran; }), weft::timeout(1h));
        const weft::clock::time_point middle = weft::clock::now();
        by_timeout = middle - start;
        std::optional<int> slot;
        std::array cases{select_case::deadline(middle + 20ms), select_case::recv(in, slot)};
        index[1] = weft::select(cases);
        by_deadline = weft::clock::now() - middle;
      });
      selecting.join();
      CHECK(index == std::array<std::size_t, 2>{2, 0});
      CHECK(ran == 1);
      CHECK(by_timeout >= 20ms);
      CHECK(is_soon(by_timeout, 20ms));
      CHECK(by_deadline >= 20ms);
      CHECK(is_soon(by_deadline, 20ms));
      // It has left the channels' queues.
      CHECK_FALSE(in.try_send(1));
      CHECK(out.try_recv() == std::nullopt);
    });
  }
}

TEST_CASE("select: a channel that is ready before the timeout wins, the timer is gone",
          "[select][unit][SE-27]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const chan<int> c = make_chan<int>();
      std::vector<std::size_t> index;
      const duration longest = duration::max();
      task selecting(k, [&, c] {
        index.push_back(weft::select(weft::timeout(longest), weft::recv(c)));
        index.push_back(weft::select(weft::timeout(std::chrono::hours::max()), weft::recv(c)));
        index.push_back(
            weft::select(weft::deadline(weft::clock::time_point::max()), weft::recv(c)));
        index.push_back(weft::select(weft::timeout(1h), weft::recv(c)));
      });
      for (int i = 0; i < 4; ++i) {
        selecting.until_blocked("select");
        c.send(1);
      }
      selecting.join();
      CHECK(index == std::vector<std::size_t>{1, 1, 1, 1});
    });
  }
}

TEST_CASE("select: done fires when the context is cancelled, and is never ready for background",
          "[select][unit][SE-27]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      auto [ctx, cancel] = weft::with_cancel(weft::context{});
      const weft::context& watched = ctx;
      const chan<int> in = make_chan<int>();
      const chan<int> out = make_chan<int>();
      std::vector<std::size_t> index;
      int ran = 0;
      task selecting(k, [&] {
        index.push_back(
            weft::select(weft::recv(in), weft::done(watched), weft::done(weft::context{})));
        index.push_back(weft::select(weft::done(watched), weft::otherwise()));
        index.push_back(weft::select(weft::send(out, 1), weft::done(watched, [&] { ++ran; })));
        index.push_back(weft::select(weft::recv(in), weft::done(watched)));
        index.push_back(weft::select(weft::done(watched), weft::otherwise()));
        std::optional<int> slot;
        std::array cases{select_case::recv(in, slot), select_case::done(watched),
                         select_case::done(weft::context{})};
        index.push_back(weft::select(cases));
      });
      selecting.until_blocked("select");
      in.send(1);
      selecting.until_blocked("select");
      cancel();
      selecting.join();
      CHECK(index == std::vector<std::size_t>{0, 1, 1, 1, 0, 1});
      CHECK(ran == 1);
      CHECK(out.try_recv() == std::nullopt);
      CHECK_FALSE(in.try_send(1));
    });
  }
}

TEST_CASE("select: done fires when the context's deadline passes", "[select][os][SE-27]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const chan<int> never = make_chan<int>();
      const weft::clock::time_point start = weft::clock::now();
      auto [ctx, cancel] = weft::with_timeout(weft::context{}, 20ms);
      const weft::context& watched = ctx;
      std::size_t index = 99;
      duration elapsed{};
      task selecting(k, [&] {
        index = weft::select(weft::recv(never), weft::done(watched));
        elapsed = weft::clock::now() - start;
      });
      selecting.join();
      CHECK(index == 1);
      CHECK(elapsed >= 20ms);
      CHECK(is_soon(elapsed, 20ms));
      CHECK(ctx.err() == weft::errc::deadline_exceeded);
    });
  }
}

TEST_CASE("select: a hundred blocked selects over one context are all woken",
          "[select][unit][SE-27]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = weft::with_cancel(weft::context{});
    const weft::context& watched = ctx;
    const chan<int> never = make_chan<int>();
    test::tally woken;
    std::vector<task> tasks;
    for (int i = 0; i < 100; ++i)
      tasks.emplace_back(i % 25 == 0 ? kind::thread : kind::fiber, [&] {
        woken.add(weft::select(weft::recv(never), weft::done(watched)) == 1 ? 1 : 1000);
      });
    for (const task& t : tasks) t.until_blocked("select");
    cancel();
    test::join(tasks);
    CHECK(woken.count() == 100);
    CHECK_FALSE(never.try_send(1));
  });
}
