// The operations that never block: try_send and try_recv.
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
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
using weft::recv_status;

TEST_CASE("chan: try_send succeeds exactly when a receiver waits or a place is free",
          "[chan][unit][CH-21][CH-29]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("receiver: " << test::name_of(k));
      using element = std::unique_ptr<int>;
      element v = std::make_unique<int>(7);
      CHECK_FALSE(chan<element>().try_send(std::move(v)));
      REQUIRE(v != nullptr);
      CHECK_FALSE(weft::send_chan<element>().try_send(std::move(v)));
      REQUIRE(v != nullptr);

      const chan<element> unbuffered = make_chan<element>();
      CHECK_FALSE(unbuffered.try_send(std::move(v)));
      REQUIRE(v != nullptr);
      test::notes<int> got;
      task receiver(k, [&, unbuffered] { got.add(*unbuffered.recv().value()); });
      receiver.until_blocked("chan receive");
      CHECK(unbuffered.try_send(std::move(v)));
      CHECK(v == nullptr);
      CHECK_FALSE(unbuffered.try_send(std::make_unique<int>(8)));
      receiver.join();
      CHECK(got.all() == std::vector{7});

      const chan<element> buffered = make_chan<element>(2);
      CHECK(buffered.try_send(std::make_unique<int>(0)));
      CHECK(buffered.try_send(std::make_unique<int>(1)));
      v = std::make_unique<int>(2);
      CHECK_FALSE(buffered.try_send(std::move(v)));
      REQUIRE(v != nullptr);
      CHECK(*buffered.recv().value() == 0);
      CHECK(buffered.try_send(std::move(v)));
      buffered.close();
      v = std::make_unique<int>(3);
      CHECK(contains(thrown_by<closed_channel>([&] { (void)buffered.try_send(std::move(v)); }),
                     "send on closed channel"));
      REQUIRE(v != nullptr);
      CHECK(*buffered.recv().value() == 1);
      CHECK(*buffered.recv().value() == 2);
    });
  }
}

TEST_CASE("chan: try_send does not pass blocked senders by", "[chan][unit][CH-21][CH-13]") {
  test::run_with_procs([] {
    for (const std::size_t capacity : {0U, 1U}) {
      const chan<int> c = make_chan<int>(capacity);
      while (c.try_send(0)) {
      }
      task sender(kind::fiber, [c] { c.send(1); });
      sender.until_blocked("chan send");
      CHECK_FALSE(c.try_send(2));
      if (capacity > 0) CHECK(c.recv() == 0);
      if (capacity > 0) CHECK_FALSE(c.try_send(2));
      CHECK(c.recv() == 1);
      sender.join();
    }
  });
}

TEST_CASE("chan: try_recv tells a value, an empty and a closed channel apart",
          "[chan][unit][CH-22]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k] {
      INFO("sender: " << test::name_of(k));
      std::string out = "kept";
      CHECK(chan<std::string>().try_recv(out) == recv_status::empty);
      CHECK(chan<std::string>().try_recv() == std::nullopt);
      CHECK(weft::recv_chan<std::string>().try_recv(out) == recv_status::empty);

      const chan<std::string> unbuffered = make_chan<std::string>();
      CHECK(unbuffered.try_recv(out) == recv_status::empty);
      CHECK(unbuffered.try_recv() == std::nullopt);
      CHECK(out == "kept");
      for (const bool optional_form : {false, true}) {
        task sender(k, [unbuffered] { unbuffered.send("sent"); });
        sender.until_blocked("chan send");
        if (optional_form) {
          CHECK(unbuffered.try_recv() == "sent");
        } else {
          CHECK(unbuffered.try_recv(out) == recv_status::ok);
          CHECK(out == "sent");
        }
        sender.join();
      }
      CHECK(unbuffered.try_recv(out) == recv_status::empty);
      unbuffered.close();
      CHECK(unbuffered.try_recv(out) == recv_status::closed);

      const chan<std::string> buffered = make_chan<std::string>(3);
      CHECK(buffered.try_recv(out) == recv_status::empty);
      buffered.send("a");
      buffered.send("b");
      CHECK(buffered.try_recv(out) == recv_status::ok);
      CHECK(out == "a");
      buffered.close();
      CHECK(buffered.try_recv() == "b");
      CHECK(buffered.try_recv() == std::nullopt);
      CHECK(buffered.try_recv(out) == recv_status::closed);
      CHECK(out == "a");
    });
  }
}

TEST_CASE("chan: try_recv from a full channel lets the first blocked sender in",
          "[chan][unit][CH-22][CH-14]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(1);
    c.send(0);
    task sender(kind::fiber, [c] { c.send(1); });
    sender.until_blocked("chan send");
    CHECK(c.try_recv() == 0);
    CHECK(c.size() == 1);
    sender.join();
    CHECK(c.try_recv() == 1);
    CHECK(c.try_recv() == std::nullopt);
  });
}

// A channel that goes from "holds a value" straight to "closed" is ready at every moment.
TEST_CASE("chan: a channel that is ready at every moment is never found empty",
          "[chan][unit][CH-23]") {
  for (const kind k : test::both_kinds) {
    test::run_with_procs([k](unsigned procs) {
      INFO("other side: " << test::name_of(k));
      const int rounds = procs == 1 && k == kind::fiber ? 200 : 3000;
      const chan<chan<int>> work = make_chan<chan<int>>();
      const chan<bool> found_empty = make_chan<bool>();
      task looker(k, [=] {
        for (const chan<int>& c : work) {
          // One look: the value is ours then, or taken by the other after its close.
          int out = 0;
          found_empty.send(c.try_recv(out) == recv_status::empty);
        }
      });
      int empties = 0;
      for (int i = 0; i < rounds; ++i) {
        const chan<int> c = make_chan<int>(1);
        c.send(i);
        work.send(c);
        c.close();
        (void)c.recv();
        empties += found_empty.recv().value() ? 1 : 0;
      }
      work.close();
      looker.join();
      CHECK(empties == 0);
    });
  }
}

TEST_CASE("chan: size never exceeds the capacity nor shows a hand-over", "[chan][unit][CH-23]") {
  test::run_with_procs([] {
    const chan<int> c = make_chan<int>(2);
    const chan<int> unbuffered = make_chan<int>();
    std::vector<task> tasks;
    for (const kind k : test::both_kinds) {
      tasks.emplace_back(k, [=] {
        for (int i = 0; i < 2000; ++i) {
          c.send(i);
          unbuffered.send(i);
        }
      });
      tasks.emplace_back(k, [=] {
        for (int i = 0; i < 2000; ++i) {
          (void)c.recv();
          (void)unbuffered.recv();
        }
      });
    }
    bool sane = true;
    const auto all_done = [&] {
      bool done = true;
      for (const task& t : tasks) done = done && t.is_done();
      return done;
    };
    test::until(
        [&] {
          sane = sane && c.size() <= 2 && unbuffered.size() == 0;
          return all_done();
        },
        "senders and receivers have ended");
    test::join(tasks);
    CHECK(sane);
    CHECK(c.size() == 0);
  });
}
