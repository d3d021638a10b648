// What each kind of case does when it is chosen and when it is not, and how handlers run.
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/elements.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/error.hpp"
#include "weft/select.hpp"

using test::contains;
using test::kind;
using test::task;
using test::thrown_by;
using weft::chan;
using weft::closed_channel;
using weft::make_chan;
using weft::select_case;

namespace {

template <class... A>
concept selectable = requires(A&&... a) { weft::select(std::forward<A>(a)...); };

using int_recv = decltype(weft::recv(std::declval<const chan<int>&>()));

}  // namespace

TEST_CASE("select: takes cases or a range of select_case, nothing else", "[select][unit][SE-22]") {
  STATIC_REQUIRE(selectable<>);
  STATIC_REQUIRE(selectable<int_recv>);
  STATIC_REQUIRE(selectable<int_recv, int_recv>);
  STATIC_REQUIRE(selectable<std::span<select_case>>);
  STATIC_REQUIRE(selectable<std::vector<select_case>&>);
  STATIC_REQUIRE(selectable<std::array<select_case, 3>&>);
  STATIC_REQUIRE_FALSE(selectable<int>);
  STATIC_REQUIRE_FALSE(selectable<int_recv, int>);
  STATIC_REQUIRE_FALSE(selectable<chan<int>&>);
}

TEST_CASE("select: blocks until one case can go, and reports that one", "[select][unit][SE-01]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      for (std::size_t fires = 0; fires < 4; ++fires) {
        const chan<int> in0 = make_chan<int>();
        const chan<std::string> in1 = make_chan<std::string>(2);
        const chan<int> out2 = make_chan<int>();
        const chan<int> out3 = make_chan<int>(1);
        out3.send(0);
        test::notes<std::string> ran;
        std::size_t index = 99;
        task selecting(k, [&] {
          index = weft::select(
              weft::recv(in0, [&](std::optional<int> v) { ran.add("0:" + std::to_string(*v)); }),
              weft::recv(in1, [&](const std::string& v) { ran.add("1:" + v); }),
              weft::send(out2, 22, [&] { ran.add("2"); }),
              weft::send(out3, 33, [&] { ran.add("3"); }));
        });
        selecting.until_blocked("select");
        CHECK(ran.size() == 0);
        std::string expected = std::to_string(fires);
        if (fires == 0) {
          in0.send(7);
          expected += ":7";
        } else if (fires == 1) {
          in1.send("x");
          expected += ":x";
        } else if (fires == 2) {
          CHECK(out2.recv() == 22);
        } else {
          CHECK(out3.recv() == 0);
        }
        selecting.join();
        CHECK(index == fires);
        CHECK(ran.all() == std::vector{expected});
        // Nothing else has happened.
        CHECK_FALSE(in0.try_send(1));
        CHECK(in1.size() == 0);
        CHECK(out2.try_recv() == std::nullopt);
        CHECK(out3.size() == 1);
        CHECK(out3.recv() == (fires == 3 ? 33 : 0));
      }
    });
  }
}

TEST_CASE("select: otherwise is taken if and only if no case is ready", "[select][unit][SE-03]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      test::expectations e;
      task selecting(k, [&] {
        const chan<int> in = make_chan<int>(1);
        const chan<int> out = make_chan<int>(1);
        out.send(0);
        for (int i = 0; i < 200; ++i) {
          int ran = 0;
          const std::size_t none =
              weft::select(weft::recv(in), weft::send(out, 1), weft::otherwise([&] { ++ran; }));
          e.that(none == 2 && ran == 1, "nothing is ready: otherwise");
          in.send(i);
          const std::size_t first =
              weft::select(weft::otherwise(), weft::recv(in), weft::send(out, 1));
          e.that(first == 1, "the ready receive, not otherwise");
          (void)out.recv();
          const std::size_t second =
              weft::select(weft::recv(in), weft::otherwise(), weft::send(out, 1));
          e.that(second == 2, "the ready send, not otherwise");
        }
      });
      selecting.join();
      CHECK(e.failures() == "");
    });
  }
}

TEST_CASE("select: without cases it blocks for ever, with only otherwise it returns at once",
          "[select][unit][SE-04]") {
  test::run_with_procs(
      [] {
        task empty(kind::fiber, [] { weft::select(); });
        empty.until_blocked("select (no cases)");
        task empty_span(kind::fiber, [] { weft::select(std::span<select_case>()); });
        empty_span.until_blocked("select (no cases)");
        std::vector<select_case> none;
        task empty_vector(kind::fiber, [&none] { weft::select(none); });
        empty_vector.until_blocked("select (no cases)");

        bool ran = false;
        CHECK(weft::select(weft::otherwise([&] { ran = true; })) == 0);
        CHECK(ran);
        std::array only{select_case::otherwise()};
        CHECK(weft::select(only) == 0);
        for (int i = 0; i < 200; ++i) weft::yield();
        CHECK(test::count_blocked("select (no cases)") == 3);
      },
      {.leaves = 3});
}

TEST_CASE("select: a case on a nil channel is never ready", "[select][unit][SE-05]") {
  test::run_with_procs(
      [] {
        const chan<int> nil;
        const chan<int> ready = make_chan<int>(100);
        for (int i = 0; i < 100; ++i) {
          CHECK(weft::select(weft::recv(nil), weft::send(nil, 1), weft::otherwise()) == 2);
          CHECK(weft::select(weft::recv(nil), weft::send(ready, 1), weft::send(nil, 1)) == 1);
          CHECK(weft::select(weft::recv(weft::recv_chan<int>()), weft::recv(ready),
                             weft::send(weft::send_chan<int>(), 1)) == 1);
        }
        std::optional<int> slot;
        int value = 1;
        std::array cases{select_case::recv(nil, slot), select_case::send(nil, value),
                         select_case::otherwise()};
        CHECK(weft::select(cases) == 2);

        task blocked(kind::fiber, [nil] { weft::select(weft::recv(nil), weft::send(nil, 1)); });
        blocked.until_blocked();
        for (int i = 0; i < 200; ++i) weft::yield();
        CHECK_FALSE(blocked.is_done());
      },
      {.leaves = 1});
}

TEST_CASE("select: a receive case on a closed channel is always ready", "[select][unit][SE-06]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      test::notes<int> got;
      test::expectations e;
      task selecting(k, [&] {
        const chan<int> c = make_chan<int>(3);
        const chan<int> never = make_chan<int>();
        for (int i = 0; i < 3; ++i) c.send(i);
        c.close();
        for (int i = 0; i < 3; ++i)
          weft::select(weft::recv(never), weft::recv(c, [&](int v) { got.add(v); }));
        for (int i = 0; i < 100; ++i) {
          bool closed = false;
          const std::size_t index =
              weft::select(weft::recv(never),
                           weft::recv(c, [&](std::optional<int> v) { closed = !v.has_value(); }),
                           weft::otherwise());
          e.that(index == 1 && closed, "the closed result");
          bool ran = false;
          const std::size_t second = weft::select(weft::recv(c, [&](int&&) { ran = true; }));
          e.that(second == 0 && !ran, "a handler of T runs only with a value");
          const std::size_t third = weft::select(weft::recv(c, [&] { ran = true; }));
          e.that(third == 0 && ran, "a handler without parameters runs");
        }
      });
      selecting.join();
      CHECK(got.all() == std::vector{0, 1, 2});
      CHECK(e.failures() == "");
    });
  }
}

TEST_CASE("select: a chosen send case on a closed channel throws", "[select][unit][SE-07]") {
  for (const std::size_t capacity : {0U, 1U, 2U}) {
    test::run_with_procs([capacity] {
      INFO("capacity " << capacity);
      const chan<std::unique_ptr<int>> c = make_chan<std::unique_ptr<int>>(capacity);
      const chan<int> never = make_chan<int>();
      if (capacity > 0) c.send(nullptr);
      c.close();
      auto value = std::make_unique<int>(1);
      bool ran = false;
      const auto handler = [&] { ran = true; };
      CHECK(contains(thrown_by<closed_channel>(
                         [&] { weft::select(weft::send(c, std::move(value), handler)); }),
                     "send on closed channel"));
      CHECK(contains(thrown_by<closed_channel>([&] {
                       weft::select(weft::otherwise(handler),
                                    weft::send(c, std::move(value), handler), weft::recv(never));
                     }),
                     "send on closed channel"));
      std::array cases{select_case::otherwise(), select_case::send(c, value)};
      CHECK(contains(thrown_by<closed_channel>([&] { weft::select(cases); }),
                     "send on closed channel"));
      CHECK(value != nullptr);
      CHECK_FALSE(ran);
      CHECK(c.size() == (capacity > 0 ? 1 : 0));
    });
  }
}

TEST_CASE("select: one blocked with a send case throws when that channel is closed",
          "[select][unit][SE-09]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      for (const std::size_t capacity : {0U, 1U}) {
        const chan<std::unique_ptr<int>> out = make_chan<std::unique_ptr<int>>(capacity);
        while (out.try_send(nullptr)) {
        }
        const chan<int> in = make_chan<int>();
        test::notes<std::string> what;
        test::expectations e;
        task selecting(k, [&] {
          auto mine = std::make_unique<int>(3);
          bool ran = false;
          what.add(thrown_by<closed_channel>([&] {
            weft::select(weft::recv(in), weft::send(out, std::move(mine), [&] { ran = true; }));
          }));
          e.that(mine != nullptr && !ran, "the value stays, the handler does not run");
        });
        selecting.until_blocked("select");
        out.close();
        selecting.join();
        REQUIRE(what.size() == 1);
        CHECK(contains(what.all()[0], "send on closed channel"));
        CHECK(e.failures() == "");
        CHECK_FALSE(in.try_send(1));
      }
    });
  }
}

TEST_CASE("select: one blocked with a receive case wakes when that channel is closed",
          "[select][unit][SE-10]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const chan<int> a = make_chan<int>();
      const chan<int> b = make_chan<int>(2);
      const chan<int> out = make_chan<int>();
      test::notes<std::pair<std::size_t, bool>> got;
      task selecting(k, [&] {
        bool has_value = true;
        const std::size_t index =
            weft::select(weft::send(out, 1), weft::recv(a),
                         weft::recv(b, [&](std::optional<int> v) { has_value = v.has_value(); }));
        got.add({index, has_value});
      });
      selecting.until_blocked("select");
      b.close();
      selecting.join();
      CHECK(got.all() == std::vector<std::pair<std::size_t, bool>>{{2, false}});
      CHECK_FALSE(a.try_send(1));
      CHECK(out.try_recv() == std::nullopt);
    });
  }
}

TEST_CASE("select: every channel and value is evaluated once, also of cases not chosen",
          "[select][unit][SE-11]") {
  test::run_with_procs([] {
    const chan<int> ready = make_chan<int>(1);
    const chan<int> full = make_chan<int>(1);
    full.send(0);
    const chan<int> empty = make_chan<int>();
    std::array<int, 5> evaluated{};
    const auto once = [&](std::size_t i, auto v) {
      ++evaluated[i];
      return v;
    };
    const chan<int> c0 = ready;
    const std::size_t index = weft::select(
        weft::send(c0, once(0, 1)), weft::send((++evaluated[1], full), once(2, 2)),
        weft::recv((++evaluated[3], empty)), weft::recv((++evaluated[4], chan<int>())));
    CHECK(index == 0);
    CHECK(evaluated == std::array{1, 1, 1, 1, 1});
    CHECK(ready.recv() == 1);
  });
}

TEST_CASE("select: only the chosen handler runs, once, after the commit, in the calling fiber",
          "[select][unit][SE-12]") {
  test::run_with_procs([] {
    const chan<int> a = make_chan<int>(1);
    const chan<int> b = make_chan<int>();
    const weft::fiber_id me = weft::this_fiber::id();
    int chosen = 0;
    int others = 0;
    const std::size_t index =
        weft::select(weft::recv(b, [&] { ++others; }),
                     weft::send(a, 5,
                                [&] {
                                  ++chosen;
                                  CHECK(weft::this_fiber::id() == me);
                                  CHECK(a.size() == 1);  // committed, and the channel is not locked
                                  CHECK(a.recv() == 5);
                                  a.send(6);
                                }),
                     weft::otherwise([&] { ++others; }));
    CHECK(index == 1);
    CHECK(chosen == 1);
    CHECK(others == 0);
    CHECK(a.recv() == 6);

    // The same after a park.
    task sender(kind::fiber, [b] { b.send(7); });
    const std::size_t second = weft::select(weft::recv(a), weft::recv(b, [&](int v) {
                                              ++chosen;
                                              CHECK(v == 7);
                                              CHECK(weft::this_fiber::id() == me);
                                              CHECK_FALSE(b.try_send(1));
                                              b.close();
                                            }));
    CHECK(second == 1);
    CHECK(chosen == 2);
    sender.join();
  });
}

TEST_CASE("select: a handler may block, select again and start fibers", "[select][unit][SE-12]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const chan<int> a = make_chan<int>();
      const chan<int> b = make_chan<int>();
      test::notes<int> got;
      task selecting(k, [&] {
        weft::select(weft::recv(a, [&](int first) {
          got.add(first);
          got.add(b.recv().value());
          weft::select(weft::recv(a, [&](int inner) { got.add(inner); }),
                       weft::recv(b, [&](int inner) { got.add(-inner); }));
        }));
      });
      a.send(1);
      b.send(2);
      a.send(3);
      selecting.join();
      CHECK(got.all() == std::vector{1, 2, 3});
    });
  }
}

TEST_CASE("select: an exception of a handler leaves select after the communication",
          "[select][unit][SE-12]") {
  for (const bool parks : {false, true}) {
    test::run_with_procs([parks] {
      INFO((parks ? "parked" : "ready at once"));
      const chan<int> c = make_chan<int>(parks ? 0 : 1);
      const chan<int> other = make_chan<int>();
      std::vector<task> senders;
      if (parks) {
        senders.emplace_back(kind::fiber, [c] { c.send(1); });
      } else {
        c.send(1);
      }
      int received = 0;
      std::string what;
      try {
        weft::select(weft::recv(other), weft::recv(c, [&](int v) {
                       received = v;
                       throw std::runtime_error("from the handler");
                     }));
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      test::join(senders);
      CHECK(what == "from the handler");
      CHECK(received == 1);
      CHECK(c.try_recv() == std::nullopt);
      CHECK(c.try_send(2) == !parks);
    });
  }
}

TEST_CASE("select: the value of a send case is moved or copied only if it is chosen",
          "[select][unit][SE-13]") {
  test::run_with_procs([] {
    const chan<std::unique_ptr<int>> full = make_chan<std::unique_ptr<int>>(1);
    full.send(nullptr);
    const chan<std::unique_ptr<int>> free = make_chan<std::unique_ptr<int>>(1);
    auto kept = std::make_unique<int>(1);
    auto sent = std::make_unique<int>(2);
    CHECK(weft::select(weft::send(full, std::move(kept)), weft::send(free, std::move(sent))) == 1);
    REQUIRE(kept != nullptr);
    CHECK(*kept == 1);
    CHECK(sent == nullptr);
    CHECK(*free.recv().value() == 2);
    CHECK(weft::select(weft::send(full, std::move(kept)), weft::otherwise()) == 1);
    REQUIRE(kept != nullptr);

    test::ledger l;
    {
      const chan<test::counted> a = make_chan<test::counted>(1);
      const chan<test::counted> b = make_chan<test::counted>(1);
      const chan<test::counted> none = make_chan<test::counted>();
      test::counted v(l, 5);
      const test::counted& constant = v;
      CHECK(weft::select(weft::send(none, v), weft::send(a, v)) == 1);
      CHECK(v.value() == 5);
      CHECK(l.copies.load() == 1);
      CHECK(l.moves.load() == 0);
      CHECK(weft::select(weft::send(b, constant)) == 0);
      CHECK(v.value() == 5);
      CHECK(l.copies.load() == 2);
      CHECK(weft::select(weft::send(none, v), weft::send(a, constant), weft::otherwise()) == 2);
      CHECK(l.copies.load() == 2);
      CHECK(a.recv()->value() == 5);
      CHECK(b.recv()->value() == 5);
    }
    CHECK(l.is_clean());
  });
}

TEST_CASE("select: a parked send case copies an lvalue and moves an rvalue when it fires",
          "[select][unit][SE-13]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      for (const std::size_t capacity : {0U, 1U}) {
        const chan<std::shared_ptr<int>> out = make_chan<std::shared_ptr<int>>(capacity);
        const chan<std::shared_ptr<int>> other = make_chan<std::shared_ptr<int>>();
        while (out.try_send(nullptr)) {
        }
        test::expectations e;
        task selecting(k, [&] {
          auto copied = std::make_shared<int>(1);
          auto moved = std::make_shared<int>(2);
          auto unused = std::make_shared<int>(3);
          weft::select(weft::send(out, copied), weft::send(other, unused));
          e.that(copied != nullptr && *copied == 1, "an lvalue stays with the caller");
          weft::select(weft::send(out, std::move(moved)), weft::send(other, std::move(unused)));
          e.that(moved == nullptr, "an rvalue is moved");
          e.that(unused != nullptr && unused.use_count() == 1, "a value not chosen stays");
        });
        std::vector<int> got;
        for (int i = 0; i < 2; ++i) {
          selecting.until_blocked("select");
          const std::shared_ptr<int> v = out.recv().value();
          got.push_back(v == nullptr ? 0 : *v);
        }
        if (capacity > 0) got.push_back(*out.recv().value());
        selecting.join();
        CHECK(got == (capacity > 0 ? std::vector{0, 1, 2} : std::vector{1, 2}));
        CHECK(e.failures() == "");
      }
    });
  }
}

TEST_CASE("select: one case is the plain operation, one case and otherwise the try operation",
          "[select][unit][SE-21]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("other side: " << test::name_of(k));
      const chan<int> c = make_chan<int>();
      task sender(k, [c] { weft::select(weft::send(c, 1)); });
      sender.until_blocked();
      int got = 0;
      CHECK(weft::select(weft::recv(c, [&](int v) { got = v; }), weft::otherwise()) == 0);
      CHECK(got == 1);
      sender.join();
      task receiver(k, [&, c] { weft::select(weft::recv(c, [&](int v) { got = v; })); });
      receiver.until_blocked();
      CHECK(weft::select(weft::send(c, 2), weft::otherwise()) == 0);
      receiver.join();
      CHECK(got == 2);
      CHECK(weft::select(weft::send(c, 3), weft::otherwise()) == 1);
      CHECK(weft::select(weft::recv(c), weft::otherwise()) == 1);

      const chan<int> buffered = make_chan<int>(1);
      CHECK(weft::select(weft::send(buffered, 4)) == 0);
      CHECK(weft::select(weft::send(buffered, 5), weft::otherwise()) == 1);
      CHECK(buffered.size() == 1);
      CHECK(weft::select(weft::recv(buffered, [&](int v) { got = v; })) == 0);
      CHECK(got == 4);

      buffered.close();
      const std::string plain = thrown_by<closed_channel>([&] { buffered.send(1); });
      CHECK(thrown_by<closed_channel>([&] { weft::select(weft::send(buffered, 1)); }) == plain);
      CHECK(thrown_by<closed_channel>(
                [&] { weft::select(weft::send(buffered, 1), weft::otherwise()); }) == plain);
      bool closed = false;
      weft::select(weft::recv(buffered, [&](std::optional<int> v) { closed = !v; }));
      CHECK(closed);
    });
  }
}

TEST_CASE("select: cases take chan, send_chan and recv_chan", "[select][unit][SE-01][CH-34]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(1);
    const weft::send_chan<int> in = c;
    const weft::recv_chan<int> out = c;
    CHECK(weft::select(weft::recv(out), weft::send(in, 1)) == 1);
    CHECK(weft::select(weft::send(in, 1), weft::recv(out)) == 1);
    std::optional<int> slot;
    int value = 2;
    std::array cases{select_case::recv(out, slot), select_case::send(in, value)};
    CHECK(weft::select(cases) == 1);
    CHECK(weft::select(cases) == 0);
    CHECK(slot == 2);
    // A value that the element type is made from.
    const chan<std::string> text = make_chan<std::string>(1);
    CHECK(weft::select(weft::send(text, "literal")) == 0);
    CHECK(text.recv() == "literal");
  });
}
