// What a channel makes visible: plain data is written on one side and read on the other. A missing
// edge is a data race under ThreadSanitizer and, now and then, a wrong value elsewhere.
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"

using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;
using weft::unit;

namespace {

constexpr kind sides[][2] = {
    {kind::fiber, kind::fiber}, {kind::fiber, kind::thread}, {kind::thread, kind::fiber}};

constexpr std::size_t capacities[] = {0, 1, 4};

}  // namespace

TEST_CASE("chan: what a sender wrote is visible to the receiver of its value",
          "[chan][unit][CH-25]") {
  constexpr int rounds = 2000;
  for (const auto& side : sides) {
    for (const std::size_t capacity : capacities) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity);
        const chan<unit> c = make_chan<unit>(capacity);
        std::vector<int> written(rounds, 0);
        test::expectations e;
        task sender(side[0], [&, c] {
          for (int i = 0; i < rounds; ++i) {
            written[static_cast<std::size_t>(i)] = i + 1;
            c.send({});
          }
        });
        task receiver(side[1], [&, c] {
          for (int i = 0; i < rounds; ++i) {
            (void)c.recv();
            e.that(written[static_cast<std::size_t>(i)] == i + 1, "the k-th send was before");
          }
        });
        sender.join();
        receiver.join();
        CHECK(e.failures() == "");
      });
    }
  }
}

TEST_CASE("chan: what the k-th receiver wrote is visible after the (k+C)-th send",
          "[chan][unit][CH-26]") {
  constexpr std::size_t rounds = 2000;
  for (const auto& side : sides) {
    for (const std::size_t capacity : capacities) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity);
        const chan<unit> c = make_chan<unit>(capacity);
        std::vector<std::size_t> written(rounds, 0);
        test::expectations e;
        task receiver(side[0], [&, c] {
          for (std::size_t i = 0; i < rounds; ++i) {
            written[i] = i + 1;
            (void)c.recv();
          }
        });
        task sender(side[1], [&, c] {
          for (std::size_t i = 0; i < rounds; ++i) {
            c.send({});
            if (i < capacity) continue;
            const std::size_t k = i - capacity;
            e.that(written[k] == k + 1, "the receive was before the end of the send");
          }
        });
        receiver.join();
        sender.join();
        CHECK(e.failures() == "");
      });
    }
  }
}

TEST_CASE("chan: a channel of capacity n lets at most n holders in, one after the other with n = 1",
          "[chan][unit][CH-26]") {
  constexpr int each = 500;
  test::run_with_procs([] {
    const chan<unit> permits = make_chan<unit>(1);
    long counter = 0;  // guarded by the permit
    std::vector<task> tasks;
    for (int i = 0; i < 4; ++i)
      tasks.emplace_back(i == 3 ? kind::thread : kind::fiber, [&counter, permits] {
        for (int n = 0; n < each; ++n) {
          permits.send({});
          const long seen = counter;
          if (n % 50 == 0) test::relax();
          counter = seen + 1;
          (void)permits.recv();
        }
      });
    test::join(tasks);
    CHECK(counter == 4 * each);
  });
}

TEST_CASE("chan: what the closer wrote is visible to whoever receives the closed result",
          "[chan][unit][CH-27]") {
  for (const std::size_t capacity : {0U, 2U}) {
    for (const bool waits : {false, true}) {
      test::run_with_procs([&] {
        INFO("capacity " << capacity << ", receivers " << (waits ? "blocked" : "not blocked"));
        for (int round = 0; round < 20; ++round) {
          const chan<int> c = make_chan<int>(capacity);
          int written = 0;
          test::expectations e;
          std::vector<task> receivers;
          for (int i = 0; i < 4; ++i)
            receivers.emplace_back(i % 2 == 0 ? kind::fiber : kind::thread, [&, c, i] {
              if (i < 2) {
                (void)c.recv();
              } else {
                int out = 0;
                while (c.try_recv(out) != weft::recv_status::closed) test::relax();
              }
              e.that(written == 1, "the close was before");
            });
          if (waits) receivers[0].until_blocked("chan receive");
          if (waits) receivers[1].until_blocked("chan receive");
          written = 1;
          c.close();
          test::join(receivers);
          REQUIRE(e.failures() == "");
        }
      });
    }
  }
}
