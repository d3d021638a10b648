// notify_signals: channels that receive signals, and the dispositions they find and restore.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <thread>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/io.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

using handler = void (*)(int);

handler disposition_of(int signal) {
  struct sigaction now{};
  sigaction(signal, nullptr, &now);
  return now.sa_handler;
}

std::atomic<int> handled{0};

void count_signal(int) { ++handled; }

}  // namespace

TEST_CASE("signals: a delivered signal arrives on the channel", "[runtime][os][SC-32]") {
  test::run_with_procs([] {
    const weft::recv_chan<int> signals = weft::notify_signals({SIGUSR1, SIGUSR2});
    ::kill(::getpid(), SIGUSR1);
    CHECK(signals.recv() == std::optional<int>(SIGUSR1));
    ::kill(::getpid(), SIGUSR2);
    CHECK(signals.recv() == std::optional<int>(SIGUSR2));
    CHECK_FALSE(signals.try_recv().has_value());
  });
}

TEST_CASE("signals: two subscribers both get it", "[runtime][os][SC-32]") {
  test::run_with_procs([] {
    const weft::recv_chan<int> one = weft::notify_signals({SIGUSR1});
    const weft::recv_chan<int> two = weft::notify_signals({SIGUSR1, SIGUSR2});
    ::kill(::getpid(), SIGUSR1);
    CHECK(one.recv() == std::optional<int>(SIGUSR1));
    CHECK(two.recv() == std::optional<int>(SIGUSR1));
    ::kill(::getpid(), SIGUSR2);
    CHECK(two.recv() == std::optional<int>(SIGUSR2));
    CHECK_FALSE(one.try_recv().has_value());
  });
}

TEST_CASE("signals: a full channel drops what comes, and nobody waits for it",
          "[runtime][os][SC-32]") {
  test::run_with_procs([] {
    const weft::recv_chan<int> slow = weft::notify_signals({SIGUSR1});
    const weft::recv_chan<int> brisk = weft::notify_signals({SIGUSR1});
    const std::size_t room = slow.capacity();
    REQUIRE(room >= 1);
    for (std::size_t i = 0; i < room + 5; ++i) {
      ::kill(::getpid(), SIGUSR1);
      REQUIRE(brisk.recv() == std::optional<int>(SIGUSR1));  // one by one: none is merged
    }
    CHECK(slow.size() == room);
  });
}

TEST_CASE("signals: the previous disposition comes back with the last channel's end",
          "[runtime][os][SC-32]") {
  struct sigaction mine{};
  struct sigaction before{};
  mine.sa_handler = count_signal;
  sigaction(SIGUSR1, &mine, &before);
  handled = 0;
  test::run_with_procs([] {
    {
      std::optional<weft::recv_chan<int>> one = weft::notify_signals({SIGUSR1});
      {
        const weft::recv_chan<int> two = weft::notify_signals({SIGUSR1});
        ::kill(::getpid(), SIGUSR1);
        CHECK(two.recv() == std::optional<int>(SIGUSR1));
        CHECK(one->recv() == std::optional<int>(SIGUSR1));
      }
      CHECK(disposition_of(SIGUSR1) != count_signal);  // one is still there
      ::kill(::getpid(), SIGUSR1);
      CHECK(one->recv() == std::optional<int>(SIGUSR1));
      one.reset();
    }
    CHECK(disposition_of(SIGUSR1) == count_signal);
  });
  CHECK(handled == 0);
  ::raise(SIGUSR1);
  CHECK(handled == 1);
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("signals: an ended subscription leaves the default action", "[runtime][os][SC-32]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      {
        const weft::recv_chan<int> signals = weft::notify_signals({SIGTERM});
        ::kill(::getpid(), SIGTERM);
        if (signals.recv() != std::optional<int>(SIGTERM)) throw std::runtime_error("lost");
      }
      std::fprintf(stderr, "survived one\n");
      ::kill(::getpid(), SIGTERM);
      (void)weft::chan<int>().recv();
    });
  });
  CHECK(test::contains(end.err, "survived one"));
  CHECK(end.signal == SIGTERM);
}

TEST_CASE("signals: waiting for one is no deadlock", "[runtime][os][SC-32][SC-20]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      const weft::recv_chan<int> signals = weft::notify_signals({SIGALRM});
      ::alarm(2);  // later than the second after which a deadlock is reported
      if (signals.recv() != std::optional<int>(SIGALRM)) throw std::runtime_error("lost");
    });
  });
  INFO(end.err);
  CHECK(end.status == 0);
  CHECK(end.err.empty());
}

TEST_CASE("signals: a signal in a select wakes it while fibers compute", "[runtime][os][SC-32]") {
  test::run_with_procs([] {
    std::atomic<bool> stop{false};
    weft::join_handle<void> busy = weft::spawn([&] {
      while (!stop) weft::yield();
    });
    const weft::recv_chan<int> signals = weft::notify_signals({SIGUSR1});
    std::thread sender([] { ::kill(::getpid(), SIGUSR1); });
    int got = 0;
    const std::size_t which =
        weft::select(weft::recv(signals, [&](int s) { got = s; }), weft::timeout(20s));
    CHECK(which == 0);
    CHECK(got == SIGUSR1);
    stop = true;
    busy.join();
    sender.join();
  });
}
