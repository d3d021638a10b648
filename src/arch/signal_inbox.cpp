// The handler that counts signals, and the semaphore that wakes whoever waits for them.
#include "weft/arch/signal_inbox.hpp"

#include <semaphore.h>
#include <signal.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "weft/arch/atomic.hpp"
#include "weft/arch/fault.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

using action = struct ::sigaction;

constinit std::array<atomic<std::uint32_t>, last_signal + 1> counts{};
constinit std::array<action, last_signal + 1> replaced{};  // guarded by the caller's lock

// Static storage that no destructor ends.
sem_t arrivals;

void make_arrivals() noexcept {
  static const int made = ::sem_init(&arrivals, 0, 0);  // can't fail for 0
  static_cast<void>(made);
}

std::size_t index_of(int signal) noexcept { return static_cast<std::size_t>(signal); }

extern "C" void weft_count_signal(int signal) {
  const int saved = errno;
  counts[index_of(signal)].fetch_add(1, relaxed);  // relaxed: the semaphore orders it
  ::sem_post(&arrivals);
  errno = saved;
}

}  // namespace

bool is_catchable(int signal) noexcept {
  switch (signal) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
      return false;
    default:
      return signal >= 1 && signal <= last_signal;
  }
}

std::errc catch_signal(int signal) noexcept {
  make_arrivals();
  counts[index_of(signal)].store(0, relaxed);  // relaxed: what came in an earlier life is not ours
  action counting{};
  counting.sa_handler = weft_count_signal;
  // Calls of user code are not torn from their sleep, and a fiber's stack is spared where the
  // thread has another one for signals.
  counting.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigfillset(&counting.sa_mask);
  action before{};
  if (may_fail("sigaction", [&] { return ::sigaction(signal, &counting, &before); }) != 0)
    return std::errc{errno};
  // Ours still, where its release was refused: what was there before us is known already.
  if (before.sa_handler != weft_count_signal) replaced[index_of(signal)] = before;
  return std::errc{};
}

void release_signal(int signal) noexcept {
  action now{};
  if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler != weft_count_signal) return;
  // Refused: it is counted on, and nobody asks.
  static_cast<void>(may_fail(
      "sigaction", [&] { return ::sigaction(signal, &replaced[index_of(signal)], nullptr); }));
}

// Refused, as where a signal interrupts it: the caller looks around and comes again.
void wait_for_signals() noexcept {
  static_cast<void>(may_fail("sem_wait", [] { return ::sem_wait(&arrivals); }));
}

void interrupt_signal_wait() noexcept { ::sem_post(&arrivals); }

std::uint32_t take_signal_count(int signal) noexcept {
  return counts[index_of(signal)].exchange(0, relaxed);  // relaxed: the semaphore orders it
}

}  // namespace weft::inline WEFT_ABI::detail
