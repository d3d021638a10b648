// Closing channels: what operations before, at and after it give.
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"

using test::contains;
using test::kind;
using test::task;
using test::thrown_by;
using weft::chan;
using weft::closed_channel;
using weft::make_chan;
using weft::nil_channel;
using weft::recv_status;

TEST_CASE("chan: close of a nil channel is an error of use", "[chan][unit][CH-06]") {
  STATIC_REQUIRE(std::is_base_of_v<std::logic_error, nil_channel>);
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("closer: " << test::name_of(k));
      std::string by_chan;
      std::string by_end;
      task closer(k, [&] {
        by_chan = thrown_by<nil_channel>([] { chan<int>().close(); });
        by_end = thrown_by<nil_channel>([] { weft::send_chan<int>().close(); });
      });
      closer.join();
      CHECK(contains(by_chan, "close of nil channel"));
      CHECK(contains(by_end, "close of nil channel"));
    });
  }
}

TEST_CASE("chan: close of a closed channel is an error of use", "[chan][unit][CH-07]") {
  STATIC_REQUIRE(std::is_base_of_v<std::logic_error, closed_channel>);
  for (const std::size_t capacity : {0U, 2U}) {
    test::run_with_procs([capacity] {
      INFO("capacity " << capacity);
      const chan<int> c = make_chan<int>(capacity);
      c.close();
      for (int i = 0; i < 2; ++i) {
        CHECK(contains(thrown_by<closed_channel>([&] { c.close(); }), "close of closed channel"));
        CHECK(c.is_closed());
        CHECK(c.recv() == std::nullopt);
      }
    });
  }
}

TEST_CASE("chan: of many that close a channel at once exactly one succeeds",
          "[chan][unit][CH-07]") {
  test::run_with_procs([] {
    for (int round = 0; round < 20; ++round) {
      const chan<int> c = make_chan<int>();
      test::tally closed;
      test::tally refused;
      std::vector<task> tasks;
      for (int i = 0; i < 6; ++i)
        tasks.emplace_back(i % 2 == 0 ? kind::fiber : kind::thread, [&, c] {
          try {
            c.close();
            closed.add();
          } catch (const closed_channel&) {
            refused.add();
          }
        });
      test::join(tasks);
      REQUIRE(closed.count() == 1);
      REQUIRE(refused.count() == 5);
    }
  });
}

TEST_CASE("chan: send on a closed channel throws and leaves the argument alone",
          "[chan][unit][CH-08][CH-29]") {
  for (const std::size_t capacity : {0U, 1U, 2U}) {
    test::run_with_procs([capacity] {
      INFO("capacity " << capacity);
      using element = std::unique_ptr<int>;
      const chan<element> c = make_chan<element>(capacity);
      // With capacity 1 the buffer is full, with 2 it is not.
      if (capacity > 0) c.send(std::make_unique<int>(1));
      c.close();
      element v = std::make_unique<int>(7);
      const auto send = [&] { c.send(std::move(v)); };
      const auto try_send = [&] { (void)c.try_send(std::move(v)); };
      for (int i = 0; i < 2; ++i) {
        CHECK(contains(thrown_by<closed_channel>(send), "send on closed channel"));
        REQUIRE(v != nullptr);
        CHECK(contains(thrown_by<closed_channel>(try_send), "send on closed channel"));
        REQUIRE(v != nullptr);
      }
      CHECK(*v == 7);

      const chan<std::string> s = make_chan<std::string>(capacity);
      s.close();
      std::string text = "unchanged";
      CHECK(contains(thrown_by<closed_channel>([&] { s.send(text); }), "send on closed channel"));
      CHECK(contains(thrown_by<closed_channel>([&] { s.send(std::move(text)); }),
                     "send on closed channel"));
      CHECK(text == "unchanged");
      CHECK(s.size() == 0);
    });
  }
}

TEST_CASE("chan: buffered values outlive the close, then the closed result comes for ever",
          "[chan][unit][CH-17]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("receiver: " << test::name_of(k));
      const chan<int> c = make_chan<int>(4);
      for (int i = 0; i < 4; ++i) c.send(i);
      c.close();
      test::notes<int> got;
      test::expectations e;
      task receiver(k, [&, c] {
        got.add(c.recv().value_or(-1));
        int out = -2;
        e.that(c.try_recv(out) == recv_status::ok, "a value is left");
        got.add(out);
        got.add(c.try_recv().value_or(-1));
        for (const int v : c) got.add(v);
        for (int i = 0; i < 100; ++i) {
          e.that(c.recv() == std::nullopt, "recv gives the closed result");
          e.that(c.try_recv() == std::nullopt, "try_recv gives none");
          e.that(c.try_recv(out) == recv_status::closed, "try_recv(out) says closed");
          for (const int v : c) e.that(v < 0, "the range is empty");
        }
        e.that(out == 1, "a receive without a value leaves its target alone");
      });
      receiver.join();
      CHECK(e.failures() == "");
      CHECK(got.all() == std::vector{0, 1, 2, 3});
    });
  }
}

TEST_CASE("chan: size and capacity of a closed channel", "[chan][unit][CH-18]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(5);
    for (int i = 0; i < 3; ++i) c.send(i);
    c.close();
    for (std::size_t left = 3; left > 0; --left) {
      CHECK(c.size() == left);
      CHECK(c.capacity() == 5);
      CHECK(c.is_closed());
      (void)c.recv();
    }
    CHECK(c.size() == 0);
    CHECK(c.capacity() == 5);
    (void)c.recv();
    CHECK(c.size() == 0);

    const chan<int> unbuffered = make_chan<int>();
    unbuffered.close();
    CHECK(unbuffered.size() == 0);
    CHECK(unbuffered.capacity() == 0);
  });
}

TEST_CASE("chan: close wakes every blocked receiver with the closed result",
          "[chan][unit][CH-19]") {
  for (const std::size_t capacity : {0U, 3U}) {
    test::run_with_procs([capacity] {
      INFO("capacity " << capacity);
      constexpr std::size_t fibers = 300;
      const chan<int> c = make_chan<int>(capacity);
      test::tally closed;
      const auto receive = [&closed, c] { closed.add(c.recv().has_value() ? 1'000'000 : 1); };
      std::vector<task> tasks;
      for (std::size_t i = 0; i < fibers; ++i) tasks.emplace_back(kind::fiber, receive);
      for (int i = 0; i < 4; ++i) {
        tasks.emplace_back(kind::thread, receive);
        tasks.back().until_blocked();
      }
      test::until_blocked(fibers, "chan receive");
      CHECK(closed.count() == 0);
      c.close();
      test::join(tasks);
      CHECK(closed.count() == fibers + 4);
    });
  }
}

TEST_CASE("chan: close throws in every blocked sender, whose value stays with it",
          "[chan][unit][CH-20][CH-29]") {
  for (const std::size_t capacity : {0U, 2U}) {
    test::run_with_procs([capacity] {
      INFO("capacity " << capacity);
      using element = std::unique_ptr<int>;
      const chan<element> c = make_chan<element>(capacity);
      for (std::size_t i = 0; i < capacity; ++i) c.send(std::make_unique<int>(static_cast<int>(i)));
      test::tally thrown;
      test::expectations e;
      std::vector<task> tasks;
      for (int i = 0; i < 20; ++i) {
        tasks.emplace_back(i % 4 == 3 ? kind::thread : kind::fiber, [&, c] {
          element mine = std::make_unique<int>(99);
          const std::string what = thrown_by<closed_channel>([&] { c.send(std::move(mine)); });
          e.that(contains(what, "send on closed channel"), what);
          e.that(mine != nullptr && *mine == 99, "the value is still the sender's");
          thrown.add();
        });
        tasks.back().until_blocked("chan send");
      }
      c.close();
      test::join(tasks);
      CHECK(thrown.count() == 20);
      CHECK(e.failures() == "");
      CHECK(c.size() == capacity);
      for (std::size_t i = 0; i < capacity; ++i) {
        const std::optional<element> v = c.recv();
        REQUIRE(v.has_value());
        CHECK(**v == static_cast<int>(i));
      }
      CHECK_FALSE(c.recv().has_value());
    });
  }
}

TEST_CASE("chan: a range-for receives until the channel is closed and drained",
          "[chan][unit][CH-24]") {
  for (const kind k : test::both_kinds) {
    for (const std::size_t capacity : {0U, 3U}) {
      test::run_with_procs([&] {
        INFO("reader: " << test::name_of(k) << ", capacity " << capacity);
        const chan<std::unique_ptr<int>> c = make_chan<std::unique_ptr<int>>(capacity);
        test::notes<int> got;
        task reader(k, [c, &got] {
          for (std::unique_ptr<int>& v : weft::recv_chan<std::unique_ptr<int>>(c)) {
            const std::unique_ptr<int> mine = std::move(v);
            got.add(*mine);
          }
        });
        for (int i = 0; i < 10; ++i) c.send(std::make_unique<int>(i));
        c.close();
        reader.join();
        CHECK(got.all() == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
      });
    }
  }
}

TEST_CASE("chan: a range-for that is left early leaves the rest in the channel",
          "[chan][unit][CH-24]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(4);
    for (int i = 0; i < 4; ++i) c.send(i);
    for (const int v : c)
      if (v == 1) break;
    CHECK(c.recv() == 2);
    CHECK(c.recv() == 3);
    c.close();
    int rounds = 0;
    for (const int v : c) rounds += v + 1;
    CHECK(rounds == 0);
  });
}
