// Of several ready cases select takes each equally often. The bounds are those of the rules: for
// 10 000 selects between two cases they lie ten standard deviations from the mean.
#include <array>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/select.hpp"

using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;
using weft::select_case;

namespace {

constexpr int selects = 10'000;

bool is_half(int n) { return n >= 4500 && n <= 5500; }

chan<int> closed_chan() {
  const chan<int> c = make_chan<int>();
  c.close();
  return c;
}

}  // namespace

TEST_CASE("select: two ready receive cases among four are each taken half of the time",
          "[select][unit][SE-02]") {
  test::run_with_procs([] {
    const chan<int> never = make_chan<int>();
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t j = i + 1; j < 4; ++j) {
        INFO("ready: " << i << " and " << j);
        std::array channels{never, never, never, never};
        channels[i] = closed_chan();
        channels[j] = closed_chan();
        std::array<int, 4> taken{};
        for (int n = 0; n < selects; ++n)
          ++taken[weft::select(weft::recv(channels[0]), weft::recv(channels[1]),
                               weft::recv(channels[2]), weft::recv(channels[3]))];
        CHECK(is_half(taken[i]));
        CHECK(is_half(taken[j]));
        CHECK(taken[i] + taken[j] == selects);
      }
    }
  });
}

TEST_CASE("select: values in buffers are taken equally often, and by a plain thread",
          "[select][unit][SE-02]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      std::array<int, 3> taken{};
      task selecting(k, [&taken] {
        const chan<int> a = make_chan<int>(1);
        const chan<int> b = make_chan<int>(1);
        const chan<int> nil;
        for (int n = 0; n < selects; ++n) {
          (void)a.try_send(n);
          (void)b.try_send(n);
          ++taken[weft::select(weft::recv(a), weft::recv(nil), weft::recv(b))];
        }
      });
      selecting.join();
      CHECK(is_half(taken[0]));
      CHECK(is_half(taken[2]));
      CHECK(taken[1] == 0);
    });
  }
}

TEST_CASE("select: a case list chooses uniformly", "[select][unit][SE-02][SE-22]") {
  test::run_with_procs([] {
    const chan<int> ready0 = closed_chan();
    const chan<int> ready1 = closed_chan();
    const chan<int> never = make_chan<int>();
    std::array<std::optional<int>, 4> slots;
    std::array cases{select_case::recv(never, slots[0]), select_case::recv(ready0, slots[1]),
                     select_case::recv(never, slots[2]), select_case::recv(ready1, slots[3])};
    std::array<int, 4> taken{};
    for (int n = 0; n < selects; ++n) ++taken[weft::select(cases)];
    CHECK(is_half(taken[1]));
    CHECK(is_half(taken[3]));
    CHECK(taken[1] + taken[3] == selects);
  });
}

TEST_CASE("select: a closed send case and another ready case happen equally often",
          "[select][unit][SE-08]") {
  test::run_with_procs([] {
    const chan<int> closed = closed_chan();
    const chan<int> ready = closed_chan();
    for (const bool closed_first : {true, false}) {
      INFO((closed_first ? "closed send case first" : "closed send case last"));
      int thrown = 0;
      int taken = 0;
      for (int n = 0; n < selects; ++n) {
        try {
          if (closed_first) {
            weft::select(weft::send(closed, 1), weft::recv(ready), weft::otherwise());
          } else {
            weft::select(weft::recv(ready), weft::send(closed, 1));
          }
          ++taken;
        } catch (const weft::closed_channel&) {
          ++thrown;
        }
      }
      CHECK(is_half(thrown));
      CHECK(is_half(taken));
    }
  });
}

TEST_CASE("select: ready duplicates of one channel are chosen uniformly", "[select][unit][SE-14]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(1);
    std::array<int, 2> sent{};
    for (int n = 0; n < 100; ++n) {
      weft::select(weft::send(c, 0), weft::send(c, 1));
      CHECK(c.size() == 1);
      ++sent.at(static_cast<std::size_t>(c.recv().value()));
    }
    CHECK(sent[0] > 10);
    CHECK(sent[1] > 10);

    std::array<int, 2> received{};
    for (int n = 0; n < 100; ++n) {
      c.send(n);
      ++received.at(weft::select(weft::recv(c), weft::recv(c)));
      CHECK(c.size() == 0);
    }
    CHECK(received[0] > 10);
    CHECK(received[1] > 10);
  });
}

TEST_CASE("select: blocked duplicates of one channel are served uniformly",
          "[select][unit][SE-14]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("selecting: " << test::name_of(k));
      const chan<int> c = make_chan<int>();
      const chan<int> other = make_chan<int>();
      std::array<int, 2> sent{};
      std::array<int, 2> received{};
      task sending(k, [&, c, other] {
        for (int n = 0; n < 100; ++n)
          weft::select(weft::send(c, 0), weft::recv(other), weft::send(c, 1));
      });
      for (int n = 0; n < 100; ++n) {
        sending.until_blocked("select");
        ++sent.at(static_cast<std::size_t>(c.recv().value()));
      }
      sending.join();
      CHECK(c.try_recv() == std::nullopt);
      CHECK(sent[0] > 10);
      CHECK(sent[1] > 10);

      task receiving(k, [&, c, other] {
        for (int n = 0; n < 100; ++n)
          ++received.at(weft::select(weft::recv(c), weft::recv(c), weft::recv(other)));
      });
      for (int n = 0; n < 100; ++n) {
        receiving.until_blocked("select");
        c.send(n);
      }
      receiving.join();
      CHECK(received[0] > 10);
      CHECK(received[1] > 10);
    });
  }
}

TEST_CASE("select: a cancelled context, a passed deadline and a ready case have no preference",
          "[select][unit][SE-27]") {
  test::run_with_procs([] {
    auto [ctx, cancel] = weft::with_cancel(weft::context{});
    cancel();
    const chan<int> ready = closed_chan();
    const chan<int> never = make_chan<int>();
    std::array<int, 3> taken{};
    for (int n = 0; n < selects; ++n)
      ++taken[weft::select(weft::recv(ready), weft::recv(never), weft::done(ctx))];
    CHECK(is_half(taken[0]));
    CHECK(is_half(taken[2]));

    taken = {};
    for (int n = 0; n < selects; ++n)
      ++taken[weft::select(weft::timeout(std::chrono::seconds(0)), weft::recv(never),
                           weft::recv(ready))];
    CHECK(is_half(taken[0]));
    CHECK(is_half(taken[2]));

    taken = {};
    const weft::clock::time_point past = weft::clock::now();
    for (int n = 0; n < selects; ++n)
      ++taken[weft::select(weft::recv(never), weft::deadline(past), weft::done(ctx),
                           weft::otherwise())];
    CHECK(is_half(taken[1]));
    CHECK(is_half(taken[2]));
  });
}
