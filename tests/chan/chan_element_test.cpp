// Elements of every size and kind: how often they are moved, and what remains when a move throws.
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/elements.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"

using test::counted;
using test::kind;
using test::ledger;
using test::task;
using test::unique_counted;
using weft::chan;
using weft::make_chan;

namespace {

// Several of the largest elements lie on one stack.
constexpr test::run_settings large_stack{.leaves = 0, .stack_size = 4U << 20U};

template <class T>
void buffer_keeps_values() {
  const chan<T> c = make_chan<T>(3);
  unsigned in = 0;
  unsigned out = 0;
  for (int round = 0; round < 3; ++round) {
    while (c.try_send(T(in))) {
      ++in;
      CHECK(c.size() == in - out);
    }
    CHECK(c.size() == 3);
    for (int i = 0; i < 2; ++i) {
      const std::optional<T> v = c.recv();
      REQUIRE(v.has_value());
      CHECK(v->is(out++));
    }
    CHECK(c.size() == 1);
  }
  c.close();
  CHECK(c.size() == 1);
  CHECK(c.recv()->is(out));
  CHECK_FALSE(c.recv().has_value());
}

template <class T>
void hand_over_keeps_values(kind k) {
  const chan<T> c = make_chan<T>();
  test::expectations e;
  for (unsigned i = 0; i < 20; ++i) {
    task receiver(k, [&e, c, i] {
      const std::optional<T> v = c.recv();
      e.that(v.has_value() && v->is(i), "the value is complete at the waiting receiver");
    });
    receiver.until_blocked("chan receive");
    c.send(T(i));
    receiver.join();

    task sender(k, [c, i] {
      const T v(i);
      c.send(v);
    });
    sender.until_blocked("chan send");
    const std::optional<T> v = c.recv();
    REQUIRE(v.has_value());
    CHECK(v->is(i));
    sender.join();
  }
  CHECK(e.failures() == "");

  // A sender waits at a full buffer; a receiver moves its value there.
  const chan<T> full = make_chan<T>(1);
  full.send(T(1));
  task sender(k, [full] { full.send(T(2)); });
  sender.until_blocked("chan send");
  CHECK(full.recv()->is(1));
  CHECK(full.size() == 1);
  sender.join();
  CHECK(full.recv()->is(2));
}

}  // namespace

TEMPLATE_TEST_CASE("chan: elements of any size, none included, are kept and counted",
                   "[chan][unit][CH-28]", test::nothing, test::blob<1>, test::blob<8>,
                   test::blob<100>, test::blob<4096>, test::blob<64 * 1024 + 1>, test::aligned) {
  test::run_with_procs(
      [] {
        buffer_keeps_values<TestType>();
        for (const kind k : test::both_kinds) hand_over_keeps_values<TestType>(k);
      },
      large_stack);
}

TEST_CASE("chan: unit channels only count", "[chan][unit][CH-28]") {
  test::run_with_procs([] {
    const chan<weft::unit> c = make_chan<weft::unit>(1000);
    for (std::size_t i = 1; i <= 1000; ++i) {
      c.send({});
      CHECK(c.size() == i);
    }
    CHECK_FALSE(c.try_send({}));
    for (int i = 0; i < 1000; ++i) CHECK(c.recv().has_value());
    CHECK_FALSE(c.try_recv().has_value());
  });
}

TEST_CASE("chan: a buffered send moves the value exactly once, or copies it",
          "[chan][unit][CH-29]") {
  ledger l;
  test::run_with_procs([&] {
    const chan<counted> c = make_chan<counted>(4);
    const long moves = l.moves.load();
    const long copies = l.copies.load();
    counted v(l, 1);
    c.send(std::move(v));
    CHECK(l.moves.load() == moves + 1);
    CHECK(l.copies.load() == copies);
    CHECK(v.value() == counted::no_value);

    v = counted(l, 2);
    const long before = l.moves.load();
    c.send(v);
    CHECK(l.copies.load() == copies + 1);
    CHECK(v.value() == 2);
    CHECK(c.try_send(v));
    CHECK(l.copies.load() == copies + 2);
    CHECK(l.moves.load() == before);
    CHECK(c.try_send(std::move(v)));
    CHECK(l.moves.load() == before + 1);
    CHECK(l.copies.load() == copies + 2);

    v = counted(l, 3);
    const long moved = l.moves.load();
    const long copied = l.copies.load();
    CHECK_FALSE(c.try_send(v));
    CHECK_FALSE(c.try_send(std::move(v)));
    CHECK(v.value() == 3);
    CHECK(l.moves.load() == moved);
    CHECK(l.copies.load() == copied);
  });
  CHECK(l.is_clean());
}

TEST_CASE("chan: a hand-over moves the value straight from the sender to the receiver",
          "[chan][unit][CH-29][CH-15]") {
  for (const kind k : test::both_kinds) {
    ledger l;
    test::run_with_procs([&] {
      INFO("other side: " << test::name_of(k));
      const chan<unique_counted> c = make_chan<unique_counted>();
      const long before = l.moves.load();
      test::notes<int> got;
      task receiver(k, [&, c] { got.add(c.recv()->value()); });
      receiver.until_blocked("chan receive");
      c.send({l, 5});
      receiver.join();
      CHECK(got.all() == std::vector{5});
      // Once into the receiver's optional; returning it may move once more.
      CHECK(l.moves.load() >= before + 1);
      CHECK(l.moves.load() <= before + 2);

      const long between = l.moves.load();
      task sender(k, [&l, c] { c.send({l, 6}); });
      sender.until_blocked("chan send");
      CHECK(l.moves.load() == between);
      CHECK(c.recv()->value() == 6);
      sender.join();
      CHECK(l.moves.load() >= between + 1);
      CHECK(l.moves.load() <= between + 2);
      CHECK(l.copies.load() == 0);
    });
    CHECK(l.is_clean());
  }
}

TEST_CASE("chan: a slot keeps nothing of a value that was received", "[chan][unit][CH-30]") {
  test::run_with_procs([] {
    const chan<std::shared_ptr<int>> c = make_chan<std::shared_ptr<int>>(3);
    for (int i = 0; i < 10; ++i) {
      auto value = std::make_shared<int>(i);
      const std::weak_ptr<int> watch = value;
      c.send(std::move(value));
      CHECK(watch.use_count() == 1);
      {
        std::optional<std::shared_ptr<int>> got = c.recv();
        REQUIRE(got.has_value());
        CHECK(got->use_count() == 1);
      }
      CHECK(watch.expired());

      value = std::make_shared<int>(i);
      const std::weak_ptr<int> second = value;
      c.send(value);
      CHECK(value.use_count() == 2);
      std::shared_ptr<int> out;
      CHECK(c.try_recv(out) == weft::recv_status::ok);
      value.reset();
      CHECK(out.use_count() == 1);
      out.reset();
      CHECK(second.expired());
    }
  });
}

TEST_CASE("chan: a value that passed through a blocked task is released by its receiver",
          "[chan][unit][CH-30]") {
  test::run_with_procs([] {
    for (const kind k : test::both_kinds) {
      const chan<std::shared_ptr<int>> c = make_chan<std::shared_ptr<int>>();
      const chan<weft::unit> go_on = make_chan<weft::unit>();
      const auto value = std::make_shared<int>(1);
      // Copied from a blocked sender, which is still alive when the receiver drops the value.
      task sender(k, [=] {
        c.send(value);
        (void)go_on.recv();
      });
      sender.until_blocked("chan send");
      CHECK(*c.recv().value() == 1);
      sender.until_blocked("chan receive");
      CHECK(value.use_count() == 2);  // ours and the one that the sender captured
      go_on.close();
      sender.join();
    }
  });
}

namespace {

// What drain() found: the values in order, and how many transfers threw meanwhile.
std::vector<int> drain(const chan<counted>& c) {
  std::vector<int> values;
  for (;;) {
    std::optional<counted> v = c.try_recv();
    if (!v.has_value()) return values;
    values.push_back(v->value());
  }
}

bool throws_transfer(const std::string& what) { return what == "transfer"; }

// The text of the runtime_error that `f` throws, or "".
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("chan: a transfer into the buffer that throws reaches the sender, nothing is sent",
          "[chan][unit][CH-32]") {
  ledger l;
  test::run_with_procs([&] {
    for (const bool copied : {false, true}) {
      for (const bool tried : {false, true}) {
        const chan<counted> c = make_chan<counted>(2);
        c.send({l, 0});
        counted v(l, 1);
        l.arm(1);
        const std::string what = error_of([&] {
          if (copied && tried) (void)c.try_send(v);
          if (copied && !tried) c.send(v);
          if (!copied && tried) (void)c.try_send(std::move(v));
          if (!copied && !tried) c.send(std::move(v));
        });
        l.disarm();
        CHECK(throws_transfer(what));
        CHECK(v.value() == 1);
        CHECK(c.size() == 1);
        c.send(std::move(v));
        CHECK(c.size() == 2);
        CHECK(drain(c) == std::vector{0, 1});
        c.close();
      }
    }
  });
  CHECK(l.is_clean());
}

TEST_CASE("chan: a move out of the buffer that throws reaches the receiver, the channel goes on",
          "[chan][unit][CH-32]") {
  ledger l;
  test::run_with_procs([&] {
    for (const bool tried : {false, true}) {
      const chan<counted> c = make_chan<counted>(2);
      c.send({l, 0});
      c.send({l, 1});
      l.arm(1);
      const std::string what = error_of([&] {
        if (tried) {
          (void)c.try_recv();
        } else {
          (void)c.recv();
        }
      });
      l.disarm();
      CHECK(throws_transfer(what));
      // Whether the value is still there is not promised; that no value comes twice is.
      const std::vector<int> rest = drain(c);
      CHECK((rest == std::vector{0, 1} || rest == std::vector{1}));
      CHECK(c.size() == 0);
      c.send({l, 2});
      c.send({l, 3});
      CHECK_FALSE(c.try_send({l, 4}));
      CHECK(drain(c) == std::vector{2, 3});
    }
  });
  CHECK(l.is_clean());
}

TEST_CASE(
    "chan: a move to a blocked receiver that throws reaches the sender, the receiver waits on",
    "[chan][unit][CH-32]") {
  for (const kind k : test::both_kinds) {
    ledger l;
    test::run_with_procs([&] {
      INFO("receivers: " << test::name_of(k));
      for (const std::size_t capacity : {0U, 2U}) {
        const chan<counted> c = make_chan<counted>(capacity);
        test::notes<std::pair<int, int>> got;
        std::vector<task> receivers;
        for (int i = 0; i < 2; ++i) {
          receivers.emplace_back(k, [&, c, i] {
            const std::optional<counted> v = c.recv();
            got.add({i, v.has_value() ? v->value() : -1});
          });
          receivers.back().until_blocked("chan receive");
        }
        counted v(l, 5);
        l.arm(1);
        const std::string what = error_of([&] { c.send(std::move(v)); });
        l.disarm();
        CHECK(throws_transfer(what));
        CHECK(v.value() == 5);
        CHECK(c.size() == 0);
        // A receiver in the front place may have been woken to wait again.
        for (const task& r : receivers) r.until_blocked("chan receive");
        CHECK(got.size() == 0);
        c.send(std::move(v));
        c.send({l, 6});
        test::join(receivers);
        CHECK(got.sorted() == std::vector<std::pair<int, int>>{{0, 5}, {1, 6}});
        CHECK(c.size() == 0);
      }
    });
    CHECK(l.is_clean());
  }
}

TEST_CASE("chan: a move from a blocked sender that throws reaches the receiver, the sender stays",
          "[chan][unit][CH-32]") {
  for (const kind k : test::both_kinds) {
    ledger l;
    test::run_with_procs([&] {
      INFO("sender: " << test::name_of(k));
      const chan<counted> c = make_chan<counted>();
      test::notes<std::string> errors;
      task sender(k, [&, c] { errors.add(error_of([&] { c.send({l, 5}); })); });
      sender.until_blocked("chan send");
      l.arm(1);
      const std::string what = error_of([&] { (void)c.recv(); });
      l.disarm();
      CHECK(throws_transfer(what));
      const std::optional<counted> v = c.recv();
      REQUIRE(v.has_value());
      CHECK(v->value() == 5);
      sender.join();
      CHECK(errors.all() == std::vector<std::string>{""});
      CHECK(drain(c).empty());
    });
    CHECK(l.is_clean());
  }
}

// A receive from a full buffer with a blocked sender moves twice; each of the moves, and those that
// follow in the sender, throws once.
TEST_CASE("chan: wherever a transfer throws at a full channel, no value comes twice, none is lost",
          "[chan][unit][CH-32]") {
  for (const kind k : test::both_kinds) {
    for (long at = 1; at <= 5; ++at) {
      ledger l;
      test::run_with_procs([&] {
        INFO("senders: " << test::name_of(k) << ", transfer " << at << " throws");
        const chan<counted> c = make_chan<counted>(2);
        c.send({l, 0});
        c.send({l, 1});
        test::notes<int> unsent;
        std::vector<task> senders;
        for (int i = 2; i < 4; ++i) {
          senders.emplace_back(k, [&, c, i] {
            counted mine(l, i);
            if (!error_of([&] { c.send(std::move(mine)); }).empty()) unsent.add(i);
          });
          senders.back().until_blocked("chan send");
        }
        l.arm(at);
        std::vector<int> got;
        int thrown_here = 0;
        const auto ended = [&] { return senders[0].is_done() && senders[1].is_done(); };
        test::until(
            [&] {
              const std::string what = error_of([&] {
                if (const std::optional<counted> v = c.try_recv()) got.push_back(v->value());
              });
              thrown_here += what.empty() ? 0 : 1;
              return ended();
            },
            "both senders have ended");
        test::join(senders);
        l.disarm();
        for (const int v : drain(c)) got.push_back(v);
        const std::set<int> distinct(got.begin(), got.end());
        CHECK(distinct.size() == got.size());
        // The one throw happened here or in a sender. Where a value of the buffer was lost by it,
        // it was the one on its way to us.
        CHECK(thrown_here + static_cast<int>(unsent.size()) <= 1);
        CHECK(got.size() + unsent.size() + static_cast<std::size_t>(thrown_here) >= 4);
        CHECK(c.size() == 0);
        c.send({l, 9});
        CHECK(drain(c) == std::vector{9});
      });
      CHECK(l.is_clean());
    }
  }
}

TEST_CASE("chan: a blocked receiver finds its value complete before it runs",
          "[chan][unit][CH-37]") {
  using element = test::blob<4096>;
  test::run_with_procs([](unsigned procs) {
    const unsigned rounds = procs == 1 ? 200 : 1000;
    const chan<element> ping = make_chan<element>();
    const chan<element> pong = make_chan<element>();
    test::expectations e;
    std::vector<task> tasks;
    tasks.emplace_back(kind::fiber, [=, &e] {
      for (unsigned i = 0; i < rounds; ++i) {
        const std::optional<element> v = ping.recv();
        e.that(v.has_value() && v->is(i), "ping is complete");
        pong.send(element(i + 1));
      }
    });
    tasks.emplace_back(kind::fiber, [=, &e] {
      for (unsigned i = 0; i < rounds; ++i) {
        ping.send(element(i));
        const std::optional<element> v = pong.recv();
        e.that(v.has_value() && v->is(i + 1), "pong is complete");
      }
    });
    // Others that run meanwhile make the two wake on other processors, and dumps look at them.
    for (int i = 0; i < 3; ++i)
      tasks.emplace_back(kind::fiber, [] {
        for (int n = 0; n < 500; ++n) weft::yield();
      });
    test::until(
        [&] {
          (void)weft::debug::fibers();
          return tasks[0].is_done() && tasks[1].is_done();
        },
        "the players have ended");
    test::join(tasks);
    CHECK(e.failures() == "");
  });
}
