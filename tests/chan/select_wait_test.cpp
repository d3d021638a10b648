// Selects among others: at one instant, once each, in nobody's way, and with the edges of the plain
// operations.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/alloc.hpp"
#include "support/catch.hpp"
#include "support/elements.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/select.hpp"

using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;
using weft::select_case;
using weft::unit;

namespace {

constexpr kind sides[][2] = {
    {kind::fiber, kind::fiber}, {kind::fiber, kind::thread}, {kind::thread, kind::fiber}};

}  // namespace

TEST_CASE("select: never pairs a send and a receive case of its own", "[select][unit][SE-15]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const chan<int> c = make_chan<int>();
      test::notes<std::size_t> chosen;
      task selecting(k, [&, c] {
        chosen.add(weft::select(weft::send(c, 1), weft::recv(c)));
        chosen.add(weft::select(weft::recv(c), weft::send(c, 2)));
      });
      selecting.until_blocked("select");
      for (int i = 0; i < 100; ++i) weft::yield();
      CHECK(chosen.size() == 0);
      CHECK(c.recv() == 1);
      selecting.until_blocked("select");
      c.send(9);
      selecting.join();
      CHECK(chosen.all() == std::vector<std::size_t>{0, 0});
      CHECK(c.try_recv() == std::nullopt);
      CHECK_FALSE(c.try_send(1));
    });
  }
}

TEST_CASE("select: two that loop over sending and receiving on one channel both end",
          "[select][unit][SE-16]") {
  constexpr int rounds = 1000;
  for (const auto& side : sides) {
    for (const std::size_t capacity : {0U, 10U}) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity);
        const chan<int> c = make_chan<int>(capacity);
        test::tally own;
        test::tally sent;
        test::tally received;
        std::vector<task> tasks;
        for (const int id : {0, 1})
          tasks.emplace_back(side[static_cast<std::size_t>(id)], [&, c, id] {
            const auto take = [&](int v) {
              own.add(v == id ? 1 : 0);
              received.add();
            };
            for (int i = 0; i < rounds; ++i) {
              // Both orders of the cases.
              if ((i + id) % 2 == 0) {
                weft::select(weft::send(c, id, [&] { sent.add(); }), weft::recv(c, take));
              } else {
                weft::select(weft::recv(c, take), weft::send(c, id, [&] { sent.add(); }));
              }
            }
          });
        test::join(tasks);
        CHECK(sent.count() + received.count() == 2 * rounds);
        CHECK(sent.count() - received.count() == static_cast<long>(c.size()));
        if (capacity == 0) CHECK(own.count() == 0);
      });
    }
  }
}

// One of the two channels is ready at every moment; which one changes.
TEST_CASE("select: acts on one instant: with something ready at every moment, never otherwise",
          "[select][unit][SE-17]") {
  using pair = std::pair<chan<int>, chan<int>>;
  for (const bool closes : {false, true}) {
    for (const kind k : test::both_kinds) {
      test::run_with_procs([&](unsigned procs) {
        INFO("selecting: " << test::name_of(k) << (closes ? ", closing" : ", sending"));
        const int rounds = procs == 1 && k == kind::fiber ? 200 : 3000;
        const chan<pair> work = make_chan<pair>();
        const chan<bool> found_none = make_chan<bool>();
        task selecting(k, [=] {
          for (const pair& p : work)
            found_none.send(
                weft::select(weft::recv(p.first), weft::recv(p.second), weft::otherwise()) == 2);
        });
        int nones = 0;
        for (int i = 0; i < rounds; ++i) {
          const pair p{make_chan<int>(1), make_chan<int>(1)};
          const chan<int>& first = i % 2 == 0 ? p.first : p.second;
          const chan<int>& second = i % 2 == 0 ? p.second : p.first;
          first.send(1);
          work.send(p);
          if (closes) {
            second.close();
          } else {
            second.send(1);
          }
          (void)first.try_recv();
          nones += found_none.recv().value() ? 1 : 0;
        }
        work.close();
        selecting.join();
        CHECK(nones == 0);
      });
    }
  }
}

TEST_CASE("select: one that fired has left the queues of its other cases",
          "[select][unit][SE-18]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      for (int round = 0; round < 20; ++round) {
        const chan<int> fires = make_chan<int>();
        const chan<int> in = make_chan<int>();
        const chan<int> buffered = make_chan<int>(1);
        const chan<int> out = make_chan<int>();
        test::notes<std::size_t> chosen;
        task selecting(k, [&] {
          chosen.add(weft::select(weft::recv(in), weft::send(out, 1), weft::recv(fires),
                                  weft::recv(in), weft::recv(buffered), weft::send(out, 2)));
        });
        selecting.until_blocked("select");
        fires.send(1);
        // It may not have run yet, and is not there for a partner any more.
        CHECK_FALSE(in.try_send(1));
        CHECK(out.try_recv() == std::nullopt);
        CHECK(buffered.try_send(3));
        CHECK(buffered.size() == 1);
        selecting.join();
        CHECK(chosen.all() == std::vector<std::size_t>{2});
        CHECK_FALSE(in.try_send(1));
        CHECK(out.try_recv() == std::nullopt);
        CHECK(buffered.recv() == 3);
      }
    });
  }
}

TEST_CASE("select: one that leaves a queue does not change the order of the others",
          "[select][unit][SE-18][CH-13]") {
  for (const auto& side : sides) {
    test::run_with_procs([&] {
      const chan<int> fires = make_chan<int>();
      const chan<int> in = make_chan<int>();
      const chan<int> out = make_chan<int>();
      test::notes<std::pair<int, int>> got;
      std::vector<task> waiting;
      std::vector<task> selecting;
      for (int i = 0; i < 3; ++i) {
        waiting.emplace_back(side[0], [&, in, i] { got.add({i, in.recv().value()}); });
        waiting.back().until_blocked("chan receive");
        waiting.emplace_back(side[1], [out, i] { out.send(i); });
        waiting.back().until_blocked("chan send");
        selecting.emplace_back(side[1], [&] {
          weft::select(weft::recv(in), weft::recv(fires), weft::send(out, 99), weft::recv(in));
        });
        selecting.back().until_blocked("select");
      }
      fires.send(1);
      fires.send(2);
      fires.send(3);
      for (int i = 0; i < 3; ++i) in.send(i);
      for (int i = 0; i < 3; ++i) CHECK(out.recv() == i);
      test::join(selecting);
      test::join(waiting);
      CHECK(got.sorted() == std::vector<std::pair<int, int>>{{0, 0}, {1, 1}, {2, 2}});
      CHECK_FALSE(in.try_send(1));
      CHECK(out.try_recv() == std::nullopt);
    });
  }
}

TEST_CASE("select: blocked selects and plain operations are served in the order of blocking",
          "[select][unit][SE-18][CH-13]") {
  test::run_with_procs([] {
    const chan<int> in = make_chan<int>();
    const chan<int> never = make_chan<int>();
    test::notes<std::pair<int, int>> got;
    std::vector<task> tasks;
    for (int i = 0; i < 6; ++i) {
      const kind k = i % 3 == 2 ? kind::thread : kind::fiber;
      tasks.emplace_back(k, [&, i] {
        if (i % 2 == 0) {
          got.add({i, in.recv().value()});
        } else {
          weft::select(weft::recv(never), weft::recv(in, [&](int v) { got.add({i, v}); }));
        }
      });
      tasks.back().until_blocked();
    }
    for (int i = 0; i < 6; ++i) in.send(i);
    test::join(tasks);
    for (const auto& [who, value] : got.all()) CHECK(who == value);
    CHECK(got.size() == 6);
  });
}

TEST_CASE("select: over the same channels in different orders nobody deadlocks, each fires once",
          "[select][unit][SE-19]") {
  constexpr std::size_t senders = 4;
  constexpr std::size_t receivers = 4;
  constexpr std::size_t each = 500;
  for (const bool threads : {false, true}) {
    for (const std::size_t capacity : {0U, 1U}) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity << (threads ? ", with plain threads" : ""));
        std::vector<chan<std::size_t>> channels;
        for (int i = 0; i < 3; ++i) channels.push_back(make_chan<std::size_t>(capacity));
        const chan<unit> quit = make_chan<unit>();
        const auto kind_of = [&](std::size_t i) {
          return threads && i % 2 == 1 ? kind::thread : kind::fiber;
        };
        // The order of the channels in the i-th party's cases.
        const auto order = [&](std::size_t i) {
          std::vector<std::size_t> o{0, 1, 2};
          for (; i > 0; --i) std::next_permutation(o.begin(), o.end());
          return o;
        };
        std::vector<std::vector<std::size_t>> got(receivers);
        std::vector<task> receiving;
        std::vector<task> sending;
        test::tally rejected;
        for (std::size_t i = 0; i < receivers; ++i)
          receiving.emplace_back(kind_of(i), [&, o = order(i), &mine = got[i]] {
            bool has_ended = false;
            const auto take = [&](std::size_t v) { mine.push_back(v); };
            while (!has_ended)
              weft::select(weft::recv(channels[o[0]], take), weft::recv(channels[o[1]], take),
                           weft::recv(channels[o[2]], take),
                           weft::recv(quit, [&] { has_ended = true; }));
          });
        for (std::size_t i = 0; i < senders; ++i)
          sending.emplace_back(kind_of(i), [&, o = order(5 - i), i] {
            for (std::size_t n = 0; n < each; ++n) {
              // Three values, of which one is sent: it tells the index that select must give.
              const std::size_t base = (i * each + n) * 3;
              const std::size_t index = weft::select(weft::send(channels[o[0]], base),
                                                     weft::send(channels[o[1]], base + 1),
                                                     weft::send(channels[o[2]], base + 2));
              rejected.add(index < 3 ? 0 : 1);
            }
          });
        test::join(sending);
        test::until(
            [&] { return channels[0].size() + channels[1].size() + channels[2].size() == 0; },
            "the buffers are drained");
        quit.close();
        test::join(receiving);
        std::vector<std::size_t> rounds;
        for (const auto& values : got)
          for (const std::size_t v : values) rounds.push_back(v / 3);
        std::sort(rounds.begin(), rounds.end());
        std::vector<std::size_t> expected(senders * each);
        std::iota(expected.begin(), expected.end(), std::size_t{0});
        CHECK(rounds == expected);
        CHECK(rejected.count() == 0);
      });
    }
  }
}

TEST_CASE("select: a hundred thousand with cases that never fire leave nothing behind",
          "[select][unit][SE-20]") {
#if WEFT_TSAN || WEFT_ASAN
  constexpr int selects = 20'000;
#else
  constexpr int selects = 100'000;
#endif
  test::run_with_procs([] {
    const chan<int> ping = make_chan<int>();
    const chan<int> never_in = make_chan<int>();
    const chan<int> never_out = make_chan<int>();
    const auto [ctx, cancel] = weft::with_cancel(weft::context{});
    std::ptrdiff_t grown = 0;
    task sender(kind::fiber, [&, ping] {
      for (int i = 0; i < selects; ++i) ping.send(i);
    });
    int wrong = 0;
    std::ptrdiff_t before = 0;
    for (int i = 0; i < selects; ++i) {
      if (i == selects / 10) before = test::live_bytes();
      const std::size_t index =
          weft::select(weft::recv(never_in), weft::send(never_out, i), weft::done(ctx),
                       weft::timeout(std::chrono::hours(1)), weft::recv(ping));
      wrong += index == 4 ? 0 : 1;
    }
    grown = test::live_bytes() - before;
    sender.join();
    CHECK(wrong == 0);
    CHECK(grown < 110'000);
    CHECK_FALSE(never_in.try_send(1));
    CHECK(never_out.try_recv() == std::nullopt);
  });
}

TEST_CASE("select: a static case list allocates nothing", "[select][unit]") {
  // Seeded: no machine starts meanwhile, whose allocations would not be the select's.
  const auto body = [] {
    const chan<int> there = make_chan<int>();
    const chan<int> back = make_chan<int>();
    const chan<int> never = make_chan<int>();
    task echo(kind::fiber, [=] {
      bool has_ended = false;
      while (!has_ended)
        weft::select(weft::recv(there,
                                [&](std::optional<int> v) {
                                  has_ended = !v.has_value();
                                  if (v) weft::select(weft::recv(never), weft::send(back, *v));
                                }),
                     weft::recv(never));
    });
    const auto [ctx, cancel] = weft::with_cancel(weft::context{});
    std::size_t allocated = 0;
    long sum = 0;
    for (int warm = 0; warm < 2; ++warm) {
      const std::size_t before = test::allocations();
      for (int i = 0; i < 1000; ++i) {
        weft::select(weft::send(there, 1), weft::recv(never));
        weft::select(weft::recv(never), weft::recv(back, [&](int v) { sum += v; }),
                     weft::done(ctx));
        weft::select(weft::recv(never), weft::otherwise());
      }
      allocated = test::allocations() - before;
    }
    there.close();
    echo.join();
    CHECK(sum == 2000);
    CHECK(allocated == 0);
  };
  weft::run(body, {.seed = 1});
}

TEST_CASE("select: gives the edges of the plain operations", "[select][unit][SE-25]") {
  constexpr std::size_t rounds = 1000;
  for (const auto& side : sides) {
    for (const std::size_t capacity : {0U, 1U, 4U}) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity);
        const chan<unit> c = make_chan<unit>(capacity);
        const chan<unit> never = make_chan<unit>();
        std::vector<std::size_t> by_sender(rounds, 0);
        std::vector<std::size_t> by_receiver(rounds, 0);
        test::expectations e;
        task sender(side[0], [&] {
          for (std::size_t i = 0; i < rounds; ++i) {
            by_sender[i] = i + 1;
            weft::select(weft::recv(never), weft::send(c, unit{}));
            if (i < capacity) continue;
            e.that(by_receiver[i - capacity] == i - capacity + 1, "receive before (k+C)-th send");
          }
        });
        task receiver(side[1], [&] {
          for (std::size_t i = 0; i < rounds; ++i) {
            by_receiver[i] = i + 1;
            weft::select(weft::recv(c), weft::recv(never));
            e.that(by_sender[i] == i + 1, "send before receive");
          }
        });
        sender.join();
        receiver.join();
        CHECK(e.failures() == "");
      });
    }
  }
}

TEST_CASE("select: sees what the closer and the canceller wrote", "[select][unit][SE-25][CH-27]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      for (int round = 0; round < 50; ++round) {
        const chan<int> c = make_chan<int>();
        const chan<int> never = make_chan<int>();
        auto [ctx, cancel] = weft::with_cancel(weft::context{});
        const weft::context& watched = ctx;
        int before_close = 0;
        int before_cancel = 0;
        test::expectations e;
        task closed(k, [&] {
          weft::select(weft::recv(never), weft::recv(c));
          e.that(before_close == 1, "the close was before");
        });
        task cancelled(k, [&] {
          weft::select(weft::recv(never), weft::done(watched));
          e.that(before_cancel == 1, "the cancel was before");
        });
        // In half of the rounds the selects are blocked by now.
        if (round % 2 == 0) closed.until_blocked("select");
        if (round % 2 == 0) cancelled.until_blocked("select");
        before_close = 1;
        c.close();
        before_cancel = 1;
        cancel();
        closed.join();
        cancelled.join();
        REQUIRE(e.failures() == "");
      }
    });
  }
}

TEST_CASE("select: a case that was given a value whose move throws is not lost to the others",
          "[select][unit][CH-32][SE-19]") {
  for (const kind k : test::both_kinds) {
    test::ledger l;
    test::run_with_procs([&] {
      INFO("selecting: " << test::name_of(k));
      const chan<test::counted> c = make_chan<test::counted>();
      const chan<int> other = make_chan<int>();
      test::notes<int> got;
      task receiving(k, [&] {
        weft::select(weft::recv(other), weft::recv(c, [&](std::optional<test::counted> v) {
                       got.add(v.has_value() ? v->value() : -1);
                     }));
      });
      receiving.until_blocked("select");
      test::counted v(l, 5);
      l.arm(1);
      std::string what;
      try {
        c.send(std::move(v));
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      l.disarm();
      CHECK(what == "transfer");
      CHECK(v.value() == 5);
      // The select goes on waiting, over both of its channels.
      receiving.until_blocked("select");
      CHECK(got.size() == 0);
      c.send(std::move(v));
      receiving.join();
      CHECK(got.all() == std::vector{5});
      CHECK_FALSE(other.try_send(1));
      CHECK(c.size() == 0);
    });
    CHECK(l.is_clean());
  }
}
