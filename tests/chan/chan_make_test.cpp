// Making channels, and what their handles are: capacity, nil, equality, conversions, lifetime.
#include <array>
#include <concepts>
#include <cstddef>
#include <limits>
#include <new>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/alloc.hpp"
#include "support/catch.hpp"
#include "support/elements.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"

using weft::chan;
using weft::make_chan;
using weft::recv_chan;
using weft::send_chan;

namespace {

template <class C>
concept can_send = requires(const C& c) { c.send(1); };
template <class C>
concept can_try_send = requires(const C& c) { c.try_send(1); };
template <class C>
concept can_close = requires(const C& c) { c.close(); };
template <class C>
concept can_recv = requires(const C& c) { c.recv(); };
template <class C>
concept can_try_recv = requires(const C& c, int& out) {
  c.try_recv();
  c.try_recv(out);
};
template <class C>
concept can_ask_closed = requires(const C& c) { c.is_closed(); };
template <class C>
concept can_iterate = requires(const C& c) {
  c.begin();
  c.end();
};
template <class C>
concept is_handle = std::copyable<C> && std::equality_comparable<C> &&
                    std::default_initializable<C> && std::constructible_from<bool, const C&> &&
                    !std::convertible_to<const C&, bool> && requires(const C& c) {
                      { c.size() } -> std::same_as<std::size_t>;
                      { c.capacity() } -> std::same_as<std::size_t>;
                    };

template <class C>
concept can_send_lvalue = requires(const C& c, const test::unique_counted& v) { c.send(v); };
template <class C>
concept can_send_rvalue = requires(const C& c, test::unique_counted v) { c.send(std::move(v)); };

}  // namespace

TEST_CASE("chan: a new channel has the capacity asked for and holds nothing",
          "[chan][unit][CH-01]") {
  test::run_with_procs([] {
    CHECK(make_chan<int>().capacity() == 0);
    for (const std::size_t n : {0U, 1U, 2U, 7U, 1000U}) {
      const chan<int> c = make_chan<int>(n);
      CHECK(c.capacity() == n);
      CHECK(c.size() == 0);
      CHECK_FALSE(c.is_closed());
      CHECK(c.try_recv() == std::nullopt);
      CHECK(c.try_send(1) == (n > 0));
    }
  });
}

TEST_CASE("chan: a plain thread makes and uses channels where no runtime is",
          "[chan][unit][CH-01][CH-39]") {
  const chan<int> c = make_chan<int>(2);
  c.send(1);
  CHECK(c.try_send(2));
  CHECK_FALSE(c.try_send(3));
  CHECK(c.size() == 2);
  CHECK(c.recv() == 1);
  c.close();
  CHECK(c.recv() == 2);
  CHECK(c.recv() == std::nullopt);
}

namespace {

// So often a refused channel is made that a leak of one byte each would be seen.
constexpr int refusals = 1000;
constexpr std::ptrdiff_t noise = refusals / 2;

template <class T>
std::string made_with(std::size_t capacity) {
  return test::thrown_by<std::logic_error>([&] { (void)make_chan<T>(capacity); });
}

}  // namespace

TEST_CASE("chan: a capacity whose buffer is not representable is refused", "[chan][unit][CH-02]") {
  constexpr std::size_t max = std::numeric_limits<std::size_t>::max();
  using page = std::array<char, 4096>;
  test::run_with_procs([&] {
    for (const std::size_t n : {max, max / 2 + 1, max - 64})
      CHECK(test::contains(made_with<char>(n), "makechan: size out of range"));
    // Products that wrap round to something small.
    for (const std::size_t n : {max, max / 4096 + 1, max / 4096 + 2, max / 2 / 4096 + 1})
      CHECK(test::contains(made_with<page>(n), "makechan: size out of range"));

    const std::ptrdiff_t before = test::live_bytes();
    for (int i = 0; i < refusals; ++i) (void)made_with<page>(max / 4096 + 1);
    const std::ptrdiff_t leaked = test::live_bytes() - before;
    CHECK(leaked < noise);
  });
}

TEST_CASE("chan: memory that is refused for a buffer throws bad_alloc and leaks nothing",
          "[chan][unit][CH-02]") {
  if (!test::counts_allocations) return;
  test::run_with_procs([] {
    int refused = 0;
    const std::ptrdiff_t before = test::live_bytes();
    {
      const test::refuse_allocations from(1 << 20);
      for (int i = 0; i < refusals; ++i) {
        try {
          (void)make_chan<test::blob<4096>>(1000);
        } catch (const std::bad_alloc&) {
          ++refused;
        }
      }
    }
    const std::ptrdiff_t leaked = test::live_bytes() - before;
    CHECK(refused == refusals);
    CHECK(leaked < noise);
    CHECK(make_chan<test::blob<4096>>(1000).capacity() == 1000);
  });
}

TEST_CASE("chan: a nil channel is false and of size and capacity 0, every other one is true",
          "[chan][unit][CH-05]") {
  const chan<int> nil;
  CHECK(nil.size() == 0);
  CHECK(nil.capacity() == 0);
  CHECK_FALSE(static_cast<bool>(nil));
  const send_chan<int> nil_send;
  const recv_chan<int> nil_recv;
  CHECK(nil_send.size() == 0);
  CHECK(nil_send.capacity() == 0);
  CHECK_FALSE(static_cast<bool>(nil_send));
  CHECK(nil_recv.size() == 0);
  CHECK(nil_recv.capacity() == 0);
  CHECK_FALSE(static_cast<bool>(nil_recv));
  CHECK_FALSE(static_cast<bool>(send_chan<int>(nil)));
  CHECK_FALSE(static_cast<bool>(recv_chan<int>(nil)));

  for (const std::size_t n : {0U, 1U}) {
    const chan<int> c = make_chan<int>(n);
    CHECK(static_cast<bool>(c));
    CHECK(static_cast<bool>(send_chan<int>(c)));
    CHECK(static_cast<bool>(recv_chan<int>(c)));
    c.close();
    CHECK(static_cast<bool>(c));
  }
}

TEST_CASE("chan: handles are equal exactly when they name the same channel",
          "[chan][unit][CH-33]") {
  const chan<int> a = make_chan<int>(1);
  const chan<int> b = make_chan<int>(1);
  const chan<int> copy = a;  // NOLINT(performance-unnecessary-copy-initialization)
  CHECK(a == copy);
  CHECK_FALSE(a != copy);
  CHECK(a != b);
  CHECK(chan<int>() == chan<int>());
  CHECK(a != chan<int>());
  CHECK(send_chan<int>(a) == send_chan<int>(copy));
  CHECK(send_chan<int>(a) != send_chan<int>(b));
  CHECK(recv_chan<int>(a) == recv_chan<int>(copy));
  CHECK(recv_chan<int>(a) != recv_chan<int>(b));
  CHECK(send_chan<int>() == send_chan<int>());
  CHECK(recv_chan<int>() == recv_chan<int>());

  a.send(7);
  CHECK(copy.size() == 1);
  CHECK(b.size() == 0);
  CHECK(copy.recv() == 7);
  copy.close();
  CHECK(a.is_closed());
  CHECK_FALSE(b.is_closed());

  chan<int> assigned = b;
  assigned = a;
  CHECK(assigned == a);
  const chan<int>& self = assigned;
  assigned = self;
  CHECK(assigned == a);
  const chan<int> moved = std::move(assigned);
  CHECK(moved == a);
}

TEST_CASE("chan: each end offers its own operations and no others", "[chan][unit][CH-34]") {
  STATIC_REQUIRE(is_handle<chan<int>>);
  STATIC_REQUIRE(is_handle<send_chan<int>>);
  STATIC_REQUIRE(is_handle<recv_chan<int>>);

  STATIC_REQUIRE((can_send<chan<int>> && can_try_send<chan<int>> && can_close<chan<int>>));
  STATIC_REQUIRE((can_recv<chan<int>> && can_try_recv<chan<int>> && can_iterate<chan<int>>));
  STATIC_REQUIRE(can_ask_closed<chan<int>>);

  using sender = send_chan<int>;
  STATIC_REQUIRE((can_send<sender> && can_try_send<sender> && can_close<sender>));
  STATIC_REQUIRE_FALSE((can_recv<sender> || can_try_recv<sender> || can_iterate<sender>));

  using receiver = recv_chan<int>;
  STATIC_REQUIRE((can_recv<receiver> && can_try_recv<receiver> && can_iterate<receiver>));
  STATIC_REQUIRE(can_ask_closed<receiver>);
  STATIC_REQUIRE_FALSE((can_send<receiver> || can_try_send<receiver> || can_close<receiver>));

  STATIC_REQUIRE(std::convertible_to<chan<int>, sender>);
  STATIC_REQUIRE(std::convertible_to<chan<int>, receiver>);
  STATIC_REQUIRE(std::convertible_to<const chan<int>&, sender>);
  STATIC_REQUIRE(std::convertible_to<const chan<int>&, receiver>);
  STATIC_REQUIRE_FALSE(std::constructible_from<chan<int>, sender>);
  STATIC_REQUIRE_FALSE(std::constructible_from<chan<int>, receiver>);
  STATIC_REQUIRE_FALSE(std::constructible_from<receiver, sender>);
  STATIC_REQUIRE_FALSE(std::constructible_from<sender, receiver>);
  STATIC_REQUIRE_FALSE(std::constructible_from<sender, chan<long>>);

  STATIC_REQUIRE(std::same_as<decltype(std::declval<receiver>().recv()), std::optional<int>>);
  STATIC_REQUIRE(std::ranges::input_range<const chan<int>>);
  STATIC_REQUIRE(std::ranges::input_range<const receiver>);
}

TEST_CASE("chan: a movable-only element can be moved in but not copied in",
          "[chan][unit][CH-29][CH-34]") {
  using element = test::unique_counted;
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<element>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<element>);
  STATIC_REQUIRE(can_send_rvalue<chan<element>>);
  STATIC_REQUIRE(can_send_rvalue<send_chan<element>>);
  STATIC_REQUIRE_FALSE(can_send_lvalue<chan<element>>);
  STATIC_REQUIRE_FALSE(can_send_lvalue<send_chan<element>>);
}

TEST_CASE("chan: the ends of a channel work on that channel", "[chan][unit][CH-34]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(2);
    const send_chan<int> in = c;
    const recv_chan<int> out = c;
    in.send(1);
    CHECK(in.try_send(2));
    CHECK_FALSE(in.try_send(3));
    CHECK(in.size() == 2);
    CHECK(out.size() == 2);
    CHECK(in.capacity() == 2);
    CHECK(out.capacity() == 2);
    CHECK(out.recv() == 1);
    CHECK_FALSE(out.is_closed());
    in.close();
    CHECK(out.is_closed());
    std::vector<int> rest;
    for (const int v : out) rest.push_back(v);
    CHECK(rest == std::vector{2});
  });
}

TEST_CASE("chan: a request carries the channel for its reply", "[chan][unit][CH-35]") {
  struct request {
    int number;
    send_chan<int> reply;
  };
  for (const test::kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("server: " << test::name_of(k));
      const chan<request> requests = make_chan<request>();
      test::task server(k, [requests] {
        for (const request& r : requests) r.reply.send(r.number * r.number);
      });
      for (int i = 0; i < 100; ++i) {
        const chan<int> reply = make_chan<int>();
        requests.send({i, reply});
        REQUIRE(reply.recv() == i * i);
      }
      requests.close();
      server.join();
    });
  }
}

namespace {

// An element that holds channels of its own type.
struct chain_link {
  int number = 0;
  chan<chain_link> next;
};

}  // namespace

TEST_CASE("chan: channels of channels, and a channel inside its own element type",
          "[chan][unit][CH-35]") {
  test::run_with_procs([] {
    const chan<chan<chan<int>>> outer = make_chan<chan<chan<int>>>(1);
    const chan<chan<int>> middle = make_chan<chan<int>>(1);
    const chan<int> inner = make_chan<int>(1);
    outer.send(middle);
    middle.send(inner);
    inner.send(5);
    CHECK(outer.recv()->recv()->recv() == 5);

    chan<chain_link> first = make_chan<chain_link>(1);
    chan<chain_link> tail = first;
    for (int i = 0; i < 10; ++i) {
      const chan<chain_link> next = make_chan<chain_link>(1);
      tail.send({i, next});
      tail = next;
    }
    tail.close();
    int links = 0;
    while (std::optional<chain_link> l = first.recv()) {
      CHECK(l->number == links++);
      first = l->next;
    }
    CHECK(links == 10);
  });
}

TEST_CASE("chan: the last handle dropped destroys every buffered value once",
          "[chan][unit][CH-31]") {
  test::ledger ledger;
  test::run_with_procs([&] {
    {
      chan<test::unique_counted> c = make_chan<test::unique_counted>(4);
      // The ring is entered in its middle, so that its contents wrap round.
      for (int i = 0; i < 3; ++i) {
        c.send({ledger, i});
        (void)c.recv();
      }
      for (int i = 0; i < 3; ++i) c.send({ledger, i});
      const recv_chan<test::unique_counted> other = c;
      c = {};
      CHECK(ledger.alive.load() == 3);
      CHECK(other.recv()->value() == 0);
      CHECK(ledger.alive.load() == 2);
    }
    CHECK(ledger.is_clean());

    {
      const chan<test::unique_counted> closed = make_chan<test::unique_counted>(2);
      closed.send({ledger, 1});
      closed.close();
    }
    CHECK(ledger.is_clean());
  });
}

TEST_CASE("chan: handles dropped in other fibers and threads free the channel once",
          "[chan][unit][CH-31][CH-39]") {
  test::ledger ledger;
  test::run_with_procs([&] {
    const std::ptrdiff_t before = test::live_bytes();
    for (int round = 0; round < 50; ++round) {
      chan<test::unique_counted> c = make_chan<test::unique_counted>(8);
      for (int i = 0; i < 5; ++i) c.send({ledger, i});
      std::vector<test::task> tasks;
      for (int i = 0; i < 4; ++i)
        tasks.emplace_back(i % 2 == 0 ? test::kind::fiber : test::kind::thread,
                           [mine = c]() mutable { mine = {}; });
      c = {};
      test::join(tasks);
      test::until([&] { return ledger.alive.load() == 0; }, "the buffered values are destroyed");
    }
    CHECK(ledger.is_clean());
    test::until([&] { return test::live_bytes() - before < 16 * 1024; }, "the channels are freed");
  });
}
