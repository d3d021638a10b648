// notify_signals: what it refuses, and the thread behind it.
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/thread.hpp"
#include "weft/io.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;
using handler = void (*)(int);

handler disposition_of(int signal) {
  struct sigaction now{};
  sigaction(signal, nullptr, &now);
  return now.sa_handler;
}

int refuse_threads(const char* call) noexcept {
  return std::string_view(call) == "pthread_create" ? EAGAIN : 0;
}

int refuse_handlers(const char* call) noexcept {
  return std::string_view(call) == "sigaction" ? EPERM : 0;
}

}  // namespace

TEST_CASE("signals: what can't be received is refused", "[io][os][SC-32]") {
  CHECK_THROWS_AS(weft::notify_signals({}), std::invalid_argument);
  for (const int signal : {0, -1, 65, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    INFO(signal);
    CHECK_THROWS_AS(weft::notify_signals({SIGUSR1, signal}), std::invalid_argument);
    CHECK(disposition_of(SIGUSR1) == SIG_DFL);
  }
}

TEST_CASE("signals: a refusal of the system changes nothing", "[io][os][SC-32]") {
  for (const auto hook : {refuse_threads, refuse_handlers}) {
    weft::detail::set_fault_hook_for_testing(hook);
    CHECK_THROWS_AS(weft::notify_signals({SIGUSR1, SIGUSR2}), std::system_error);
    weft::detail::set_fault_hook_for_testing(nullptr);
    CHECK(disposition_of(SIGUSR1) == SIG_DFL);
    CHECK(disposition_of(SIGUSR2) == SIG_DFL);
  }
}

TEST_CASE("signals: a disposition that could not be put back comes back the next time",
          "[io][os][SC-32]") {
  std::signal(SIGUSR2, SIG_IGN);
  weft::recv_chan<int> signals = weft::notify_signals({SIGUSR2});
  weft::detail::set_fault_hook_for_testing(refuse_handlers);
  signals = {};
  weft::detail::set_fault_hook_for_testing(nullptr);
  REQUIRE(disposition_of(SIGUSR2) != SIG_IGN);
  ::kill(::getpid(), SIGUSR2);  // nobody asks for it

  signals = weft::notify_signals({SIGUSR2});
  ::kill(::getpid(), SIGUSR2);
  CHECK(signals.recv() == std::optional<int>(SIGUSR2));
  CHECK(signals.size() == 0);
  signals = {};
  CHECK(disposition_of(SIGUSR2) == SIG_IGN);
  std::signal(SIGUSR2, SIG_DFL);
}

TEST_CASE("signals: a signal named twice arrives once, without any runtime", "[io][os][SC-32]") {
  const weft::recv_chan<int> signals = weft::notify_signals({SIGUSR1, SIGUSR1});
  ::kill(::getpid(), SIGUSR1);
  CHECK(signals.recv() == std::optional<int>(SIGUSR1));
  CHECK(signals.size() == 0);
}

TEST_CASE("signals: one arrives while every thread sleeps", "[io][unit][SC-32]") {
  // The system hands it to the thread in run(), which waits; ThreadSanitizer keeps it back there.
  test::run_with_procs([] {
    const weft::recv_chan<int> signals = weft::notify_signals({SIGUSR2});
    weft::go([] {
      weft::sleep_for(20ms);
      ::kill(::getpid(), SIGUSR2);
    });
    CHECK(signals.recv() == std::optional<int>(SIGUSR2));
  });
}

TEST_CASE("signals: the service thread goes with the last channel", "[io][os][SC-32]") {
  const int before = weft::detail::process_thread_count();
  for (int i = 0; i < 100; ++i) {
    weft::recv_chan<int> one = weft::notify_signals({SIGUSR1});
    weft::recv_chan<int> two = weft::notify_signals({SIGUSR2});
    CHECK(weft::detail::process_thread_count() == before + 1);
    one = {};
    ::kill(::getpid(), SIGUSR2);
    CHECK(two.recv() == std::optional<int>(SIGUSR2));
    CHECK(disposition_of(SIGUSR1) == SIG_DFL);
  }
  // The kernel may list a thread for a moment after it was joined.
  const auto end = std::chrono::steady_clock::now() + test::patience;
  while (weft::detail::process_thread_count() > before && std::chrono::steady_clock::now() < end) {
  }
  CHECK(weft::detail::process_thread_count() == before);
}
