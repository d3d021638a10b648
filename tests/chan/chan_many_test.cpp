// Many fibers and plain threads on one channel, and every operation from plain threads.
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/alloc.hpp"
#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"

using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;
using weft::recv_status;

TEST_CASE("chan: with many producers and consumers each value arrives exactly once",
          "[chan][unit][CH-36]") {
  constexpr std::size_t producers = 6;
  constexpr std::size_t consumers = 5;
  constexpr std::size_t each = 400;
  constexpr std::size_t total = producers * each;
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}, total}) {
    for (const bool threads : {false, true}) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity << (threads ? ", with plain threads" : ""));
        const chan<std::size_t> c = make_chan<std::size_t>(capacity);
        std::vector<std::vector<std::size_t>> got(consumers);
        std::vector<task> producing;
        std::vector<task> consuming;
        const auto kind_of = [&](std::size_t i) {
          return threads && i % 2 == 0 ? kind::thread : kind::fiber;
        };
        for (std::size_t i = 0; i < consumers; ++i)
          consuming.emplace_back(kind_of(i), [c, &mine = got[i]] {
            for (const std::size_t v : c) mine.push_back(v);
          });
        for (std::size_t i = 0; i < producers; ++i)
          producing.emplace_back(kind_of(i), [c, i] {
            for (std::size_t n = 0; n < each; ++n) c.send(i * each + n);
          });
        test::join(producing);
        c.close();
        test::join(consuming);
        std::vector<int> seen(total, 0);
        std::size_t sum = 0;
        for (const std::vector<std::size_t>& values : got)
          for (const std::size_t v : values) {
            REQUIRE(v < total);
            ++seen[v];
            sum += v;
          }
        CHECK(seen == std::vector<int>(total, 1));
        CHECK(sum == total * (total - 1) / 2);
        CHECK(c.size() == 0);
      });
    }
  }
}

TEST_CASE("chan: every operation works from a plain thread as from a fiber",
          "[chan][unit][CH-39]") {
  test::run_with_procs([] {
    const chan<std::unique_ptr<int>> to = make_chan<std::unique_ptr<int>>();
    const chan<std::unique_ptr<int>> from = make_chan<std::unique_ptr<int>>(1);
    const chan<int> own = make_chan<int>(2);
    test::expectations e;
    task thread(kind::thread, [&, to, from, own] {
      const std::optional<std::unique_ptr<int>> first = to.recv();
      e.that(first.has_value() && **first == 1, "recv gives the value");
      from.send(std::make_unique<int>(2));
      from.send(std::make_unique<int>(3));  // blocks until the fiber has received one

      e.that(own.try_send(1) && own.try_send(2) && !own.try_send(3), "try_send up to the capacity");
      e.that(own.size() == 2 && own.capacity() == 2, "size and capacity");
      int out = 0;
      e.that(own.try_recv(out) == recv_status::ok && out == 1, "try_recv in order");
      e.that(own.try_recv() == 2, "try_recv, the optional form");
      e.that(own.try_recv(out) == recv_status::empty, "empty");
      own.send(5);
      own.close();
      e.that(own.is_closed(), "closed");
      for (const int v : own) e.that(v == 5, "range-for");
      e.that(own.try_recv(out) == recv_status::closed, "drained");
      e.that(test::contains(test::thrown_by<weft::closed_channel>([&] { own.send(1); }),
                            "send on closed channel"),
             "send on closed throws");
      e.that(test::contains(test::thrown_by<weft::closed_channel>([&] { own.close(); }),
                            "close of closed channel"),
             "close of closed throws");
      e.that(!to.recv().has_value(), "woken by close");
    });
    thread.until_blocked();
    to.send(std::make_unique<int>(1));
    CHECK(*from.recv().value() == 2);
    CHECK(*from.recv().value() == 3);
    thread.until_blocked();
    to.close();
    thread.join();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("chan: plain threads alone use channels, without any runtime", "[chan][unit][CH-39]") {
  constexpr int rounds = 2000;
  for (const std::size_t capacity : {0U, 3U}) {
    const chan<int> there = make_chan<int>(capacity);
    const chan<int> back = make_chan<int>(capacity);
    std::thread echo([=] {
      for (const int v : there) back.send(v + 1);
      back.close();
    });
    bool right = true;
    for (int i = 0; i < rounds; ++i) {
      there.send(i);
      right = right && back.recv() == i + 1;
    }
    there.close();
    right = right && !back.recv().has_value();
    echo.join();
    CHECK(right);
  }
}

TEST_CASE("chan: a thread blocked before the runtime starts is served by its fibers",
          "[chan][unit][CH-39]") {
  const chan<int> c = make_chan<int>();
  int got = 0;
  std::thread early([&] { got = c.recv().value_or(-1); });
  weft::run([&] { c.send(7); });
  early.join();
  CHECK(got == 7);
}

TEST_CASE("chan: sending and receiving allocate nothing", "[chan][unit]") {
  // Seeded: no machine starts meanwhile, whose allocations would not be the channel's.
  const auto body = [] {
    const chan<int> c = make_chan<int>(4);
    const chan<int> there = make_chan<int>();
    const chan<int> back = make_chan<int>();
    task echo(kind::fiber, [=] {
      for (const int v : there) back.send(v);
    });
    std::size_t allocated = 0;
    long sum = 0;
    for (int warm = 0; warm < 2; ++warm) {
      const std::size_t before = test::allocations();
      for (int i = 0; i < 1000; ++i) {
        c.send(1);
        (void)c.try_send(1);
        sum += c.recv().value();
        sum += c.try_recv().value();
        there.send(1);
        sum += back.recv().value();
      }
      allocated = test::allocations() - before;
    }
    there.close();
    echo.join();
    CHECK(sum == 2 * 3000);
    CHECK(allocated == 0);
  };
  weft::run(body, {.seed = 1});
}
