// Sends and receives that a context ends.
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/error.hpp"

using namespace std::chrono_literals;
using test::kind;
using test::task;
using weft::chan;
using weft::make_chan;

namespace {

// The code that `f` throws, or none.
template <class F>
std::error_code code_of(F f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

}  // namespace

TEST_CASE("chan: a cancelled send is not sent, and its value not moved from",
          "[chan][unit][CH-29]") {
  using element = std::unique_ptr<int>;
  for (const kind k : test::both_kinds) {
    for (const std::size_t capacity : {0U, 1U}) {
      test::run_with_procs([&] {
        INFO("sender: " << test::name_of(k) << ", capacity " << capacity);
        const chan<element> c = make_chan<element>(capacity);
        while (c.try_send(nullptr)) {
        }
        for (const bool throwing : {false, true}) {
          auto [ctx, cancel] = weft::with_cancel(weft::context{});
          const weft::context& watched = ctx;
          test::expectations e;
          task sender(k, [&] {
            element mine = std::make_unique<int>(5);
            std::error_code ec;
            if (throwing) {
              ec = code_of([&] { c.send(watched, std::move(mine)); });
            } else {
              e.that(!c.send(watched, std::move(mine), ec), "false: not sent");
            }
            e.that(ec == weft::errc::canceled, "the code of the context");
            e.that(mine != nullptr && *mine == 5, "the value stays");
          });
          sender.until_blocked("chan send");
          cancel();
          sender.join();
          CHECK(e.failures() == "");
          CHECK(c.size() == capacity);
          if (capacity == 0) CHECK_FALSE(c.try_recv().has_value());
        }
      });
    }
  }
}

TEST_CASE("chan: a cancelled receive leaves the queue, the next receiver gets the value",
          "[chan][unit][CH-13]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("receivers: " << test::name_of(k));
      const chan<int> c = make_chan<int>();
      auto [ctx, cancel] = weft::with_cancel(weft::context{});
      const weft::context& watched = ctx;
      test::expectations e;
      test::notes<int> got;
      task first(k, [&] {
        std::error_code ec;
        e.that(!c.recv(watched, ec).has_value() && ec == weft::errc::canceled, "cancelled");
      });
      first.until_blocked("chan receive");
      task thrown(k, [&] {
        e.that(code_of([&] { (void)c.recv(watched); }) == weft::errc::canceled,
               "cancelled, thrown");
      });
      thrown.until_blocked("chan receive");
      task last(k, [&] { got.add(c.recv().value_or(-1)); });
      last.until_blocked("chan receive");
      cancel();
      CHECK(c.try_send(7));  // nobody but the last is there to meet
      first.join();
      thrown.join();
      last.join();
      CHECK(got.all() == std::vector{7});
      CHECK(e.failures() == "");
      CHECK_FALSE(c.try_send(8));
    });
  }
}

TEST_CASE("chan: with a context that is not done send and receive are the plain operations",
          "[chan][unit][CH-09][CH-17][CH-08]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("other side: " << test::name_of(k));
      auto [ctx, cancel] = weft::with_cancel(weft::context{});
      const weft::context& watched = ctx;
      const chan<std::string> c = make_chan<std::string>();
      test::expectations e;
      std::error_code ec = weft::errc::canceled;
      task echo(k, [&] {
        std::error_code mine = weft::errc::canceled;
        while (std::optional<std::string> v = c.recv(watched, mine)) {
          e.that(!mine, "no error");
          e.that(c.send(watched, *v + "!", mine), "sent");
        }
        e.that(!mine, "closed is no error");
      });
      CHECK(c.send(watched, "a", ec));
      CHECK_FALSE(ec);
      CHECK(c.recv(watched) == "a!");
      const std::string text = "b";
      c.send(watched, text);
      CHECK(c.recv(weft::context{}, ec) == "b!");
      CHECK(text == "b");
      c.close();
      echo.join();
      CHECK(c.recv(watched) == std::nullopt);
      CHECK(
          test::contains(test::thrown_by<weft::closed_channel>([&] { c.send(watched, text, ec); }),
                         "send on closed channel"));
      CHECK(e.failures() == "");
    });
  }
}

TEST_CASE("chan: on a nil channel a context ends send and receive", "[chan][unit][CH-03][CH-04]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("waiting: " << test::name_of(k));
      auto [ctx, cancel] = weft::with_cancel(weft::context{});
      const weft::context& watched = ctx;
      test::expectations e;
      task sender(k, [&] {
        std::error_code ec;
        e.that(!chan<int>().send(watched, 1, ec) && ec == weft::errc::canceled, "send");
      });
      sender.until_blocked("chan send (nil chan)");
      task receiver(k, [&] {
        std::error_code ec;
        e.that(!chan<int>().recv(watched, ec) && ec == weft::errc::canceled, "recv");
      });
      receiver.until_blocked("chan receive (nil chan)");
      cancel();
      sender.join();
      receiver.join();
      CHECK(e.failures() == "");
    });
  }
}
