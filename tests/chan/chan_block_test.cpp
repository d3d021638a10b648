// When sends and receives block, what they pass, and in which order.
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"

using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;

namespace {

std::vector<int> counting(int n) {
  std::vector<int> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

// Kinds of tasks for tests of order: fibers, plain threads, and the two in turn.
constexpr kind mixes[][2] = {
    {kind::fiber, kind::fiber}, {kind::thread, kind::thread}, {kind::fiber, kind::thread}};

}  // namespace

TEST_CASE("chan: an unbuffered send blocks until a receive takes the value",
          "[chan][unit][CH-09]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("sender: " << test::name_of(k));
      const chan<int> c = make_chan<int>();
      task sender(k, [c] { c.send(42); });
      sender.until_blocked("chan send");
      CHECK(c.recv() == 42);
      sender.join();
      CHECK(c.try_recv() == std::nullopt);
    });
  }
}

TEST_CASE("chan: a receive blocks until a send", "[chan][unit][CH-09][CH-11]") {
  for (const kind k : test::both_kinds) {
    for (const std::size_t capacity : {0U, 1U, 3U}) {
      test::run_with_procs([&] {
        INFO("receiver: " << test::name_of(k) << ", capacity " << capacity);
        const chan<int> c = make_chan<int>(capacity);
        test::notes<int> got;
        task receiver(k, [c, &got] { got.add(c.recv().value_or(-1)); });
        receiver.until_blocked("chan receive");
        c.send(42);
        receiver.join();
        CHECK(got.all() == std::vector{42});
      });
    }
  }
}

TEST_CASE("chan: a buffered send returns at once while there is room, and blocks when full",
          "[chan][unit][CH-10]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("sender: " << test::name_of(k));
      for (const std::size_t capacity : {1U, 2U, 5U}) {
        const chan<std::size_t> c = make_chan<std::size_t>(capacity);
        for (std::size_t i = 0; i < capacity; ++i) {
          c.send(i);
          CHECK(c.size() == i + 1);
        }
        task sender(k, [c, capacity] { c.send(capacity); });
        sender.until_blocked("chan send");
        CHECK(c.size() == capacity);
        for (std::size_t i = 0; i <= capacity; ++i) CHECK(c.recv() == i);
        sender.join();
        CHECK(c.size() == 0);
      }
    });
  }
}

TEST_CASE("chan: a buffered receive returns the oldest value at once", "[chan][unit][CH-11]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(3);
    int in = 0;
    int out = 0;
    // Every fill level at every place of the ring.
    for (int round = 0; round < 12; ++round) {
      const int n = round % 3 + 1;
      for (int i = 0; i < n; ++i) c.send(in++);
      for (int i = 0; i < n; ++i) {
        CHECK(c.size() == static_cast<std::size_t>(n - i));
        CHECK(c.recv() == out++);
      }
    }
    CHECK(c.size() == 0);
  });
}

TEST_CASE("chan: values of one sender arrive in the order in which it sent them",
          "[chan][unit][CH-12]") {
  for (const kind k : test::both_kinds) {
    for (const std::size_t capacity : {0U, 1U, 7U}) {
      test::run_with_procs([&] {
        INFO("sender: " << test::name_of(k) << ", capacity " << capacity);
        const chan<int> c = make_chan<int>(capacity);
        task sender(k, [c] {
          for (int i = 0; i < 2000; ++i) c.send(i);
          c.close();
        });
        std::vector<int> got;
        for (const int v : c) got.push_back(v);
        sender.join();
        CHECK(got == counting(2000));
      });
    }
  }
}

TEST_CASE("chan: of several senders the order of each is kept", "[chan][unit][CH-12]") {
  constexpr std::size_t senders = 4;
  constexpr int each = 500;
  for (const auto& mix : mixes) {
    for (const std::size_t capacity : {0U, 1U, 8U}) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity);
        const chan<std::pair<std::size_t, int>> c =
            make_chan<std::pair<std::size_t, int>>(capacity);
        std::vector<task> tasks;
        for (std::size_t s = 0; s < senders; ++s)
          tasks.emplace_back(mix[s % 2], [c, s] {
            for (int i = 0; i < each; ++i) c.send({s, i});
          });
        std::vector<int> next(senders, 0);
        for (std::size_t n = 0; n < senders * each; ++n) {
          const auto v = c.recv();
          REQUIRE(v.has_value());
          REQUIRE(v->second == next[v->first]++);
        }
        test::join(tasks);
        CHECK(c.size() == 0);
      });
    }
  }
}

TEST_CASE("chan: blocked senders are served in the order in which they blocked",
          "[chan][unit][CH-13][CH-39]") {
  for (const auto& mix : mixes) {
    for (const std::size_t capacity : {0U, 2U}) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity);
        constexpr int senders = 6;
        const chan<int> c = make_chan<int>(capacity);
        int buffered = 0;
        while (c.try_send(buffered)) ++buffered;
        std::vector<task> tasks;
        for (int i = 0; i < senders; ++i) {
          tasks.emplace_back(mix[i % 2], [c, value = buffered + i] { c.send(value); });
          tasks.back().until_blocked("chan send");
        }
        for (int i = 0; i < buffered + senders; ++i) CHECK(c.recv() == i);
        test::join(tasks);
        CHECK(c.try_recv() == std::nullopt);
      });
    }
  }
}

TEST_CASE("chan: blocked receivers are served in the order in which they blocked",
          "[chan][unit][CH-13][CH-39]") {
  for (const auto& mix : mixes) {
    for (const std::size_t capacity : {0U, 2U}) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity);
        constexpr int receivers = 6;
        const chan<int> c = make_chan<int>(capacity);
        test::notes<std::pair<int, int>> got;
        std::vector<task> tasks;
        for (int i = 0; i < receivers; ++i) {
          tasks.emplace_back(mix[i % 2], [c, i, &got] { got.add({i, c.recv().value_or(-1)}); });
          tasks.back().until_blocked("chan receive");
        }
        for (int i = 0; i < receivers; ++i) c.send(i);
        test::join(tasks);
        for (const auto& [receiver, value] : got.all()) CHECK(receiver == value);
        CHECK(got.size() == receivers);
      });
    }
  }
}

TEST_CASE("chan: a receive from a full channel lets the first blocked sender in at the tail",
          "[chan][unit][CH-14]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("senders: " << test::name_of(k));
      const chan<int> c = make_chan<int>(2);
      c.send(0);
      c.send(1);
      task first(k, [c] { c.send(2); });
      first.until_blocked("chan send");
      task second(k, [c] { c.send(3); });
      second.until_blocked("chan send");

      CHECK(c.recv() == 0);
      CHECK(c.size() == 2);  // the place was never free
      first.join();
      second.until_blocked("chan send");
      CHECK_FALSE(c.try_send(9));

      CHECK(c.recv() == 1);
      CHECK(c.size() == 2);
      second.join();
      CHECK(c.recv() == 2);
      CHECK(c.recv() == 3);
      CHECK(c.size() == 0);
    });
  }
}

TEST_CASE("chan: a send goes straight to the longest-waiting receiver, no later one can take it",
          "[chan][unit][CH-15]") {
  for (const kind k : test::both_kinds) {
    for (const std::size_t capacity : {0U, 4U}) {
      test::run_with_procs([&] {
        INFO("receivers: " << test::name_of(k) << ", capacity " << capacity);
        for (int round = 0; round < 20; ++round) {
          const chan<int> c = make_chan<int>(capacity);
          test::notes<std::pair<int, int>> got;
          std::vector<task> tasks;
          for (int i = 0; i < 2; ++i) {
            tasks.emplace_back(k, [c, i, &got] { got.add({i, c.recv().value_or(-1)}); });
            tasks.back().until_blocked("chan receive");
          }
          c.send(1);
          CHECK(c.size() == 0);
          CHECK(c.try_recv() == std::nullopt);
          tasks[0].join();
          tasks[1].until_blocked("chan receive");
          CHECK(c.try_send(2));
          CHECK(c.size() == 0);
          CHECK(c.try_recv() == std::nullopt);
          tasks[1].join();
          CHECK(got.sorted() == std::vector<std::pair<int, int>>{{0, 1}, {1, 2}});
        }
      });
    }
  }
}

TEST_CASE("chan: the size counts buffered values only", "[chan][unit][CH-16]") {
  for (const std::size_t capacity : {0U, 1U, 3U}) {
    test::run_with_procs([capacity] {
      INFO("capacity " << capacity);
      const chan<int> c = make_chan<int>(capacity);
      while (c.try_send(0)) {
      }
      std::vector<task> tasks;
      for (int i = 0; i < 4; ++i) {
        tasks.emplace_back(i % 2 == 0 ? kind::fiber : kind::thread, [c] { c.send(0); });
        tasks.back().until_blocked("chan send");
        CHECK(c.size() == capacity);
      }
      for (std::size_t i = 0; i < capacity + 4; ++i) CHECK(c.recv() == 0);
      test::join(tasks);
      CHECK(c.size() == 0);

      task receiver(kind::fiber, [c] { (void)c.recv(); });
      receiver.until_blocked("chan receive");
      CHECK(c.size() == 0);
      c.close();
      receiver.join();
    });
  }
}

TEST_CASE("chan: send and receive on a nil channel block for ever", "[chan][unit][CH-03][CH-04]") {
  test::run_with_procs(
      [] {
        task sender(kind::fiber, [] { chan<int>().send(1); });
        sender.until_blocked("chan send (nil chan)");
        task mover(kind::fiber, [] { weft::send_chan<std::string>().send(std::string("x")); });
        mover.until_blocked("chan send (nil chan)");
        task receiver(kind::fiber, [] { (void)chan<int>().recv(); });
        receiver.until_blocked("chan receive (nil chan)");
        task other(kind::fiber, [] { (void)weft::recv_chan<int>().recv(); });
        other.until_blocked("chan receive (nil chan)");
        for (int i = 0; i < 200; ++i) weft::yield();
        CHECK(test::count_blocked("chan send (nil chan)") == 2);
        CHECK(test::count_blocked("chan receive (nil chan)") == 2);
      },
      {.leaves = 4});
}

TEST_CASE("chan: a plain thread on a nil channel sleeps for ever", "[chan][unit][CH-03][CH-04]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      task sender(kind::thread, [] { chan<int>().send(1); });
      task receiver(kind::thread, [] { (void)chan<int>().recv(); });
      sender.until_blocked();
      receiver.until_blocked();
      ::_exit(sender.is_done() || receiver.is_done() ? 1 : 23);
    });
  });
  CHECK(end.status == 23);
}

TEST_CASE("chan: iteration over a nil channel blocks for ever", "[chan][unit][CH-24][CH-04]") {
  test::run_with_procs(
      [] {
        task reader(kind::fiber, [] {
          for (const int v : chan<int>()) (void)v;
        });
        reader.until_blocked("chan receive (nil chan)");
      },
      {.leaves = 1});
}
