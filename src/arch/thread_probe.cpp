// Asks a thread for its stack.
#include "weft/arch/thread_probe.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>

#include "weft/arch/atomic.hpp"
#include "weft/arch/backtrace.hpp"
#include "weft/arch/clock.hpp"
#include "weft/arch/note.hpp"
#include "weft/arch/sanitizer.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/arch/thread.hpp"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace weft::inline WEFT_ABI::detail {

#if defined(__linux__)

namespace {

constexpr std::int64_t patience = 100'000'000;

enum class step : unsigned char { idle, asked, answering, answered };

struct question {
  spinlock asker;
  atomic<step> state{step::idle};
  atomic<int> whom{0};
  stack_sample sample;
};

constinit question current;

void on_probe(int, siginfo_t*, void* ucontext) {
  const int saved_errno = errno;
  step expected = step::asked;
  // relaxed: a stale one is not ours, and the exchange decides for ours
  if (current.whom.load(relaxed) == current_thread_id() &&
      current.state.compare_exchange(expected, step::answering, acq_rel)) {  // pairs: probe.state
    current.sample.count = capture(registers_of_interrupted(ucontext), current.sample.frames,
                                   stack_sample::max_frames);
    current.state.store(step::answered, release);  // pairs: probe.state
  }
  errno = saved_errno;
}

bool install_handler() noexcept {
  struct sigaction action{};
  if (::sigaction(SIGURG, nullptr, &action) != 0) return false;
  const bool is_free = (action.sa_flags & SA_SIGINFO) == 0 &&
                       (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN);
  if (!is_free) return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_probe;
  action = {};
  action.sa_sigaction = on_probe;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigfillset(&action.sa_mask);
  return ::sigaction(SIGURG, &action, nullptr) == 0;
}

// Nobody wakes the asker: the handler could not say when it is done with waking.
bool wait_for_answer() noexcept {
  const std::int64_t end = monotonic_ns() + patience;
  std::int64_t now = monotonic_ns();
  while (current.state.load(acquire) != step::answered) {  // pairs: probe.state
    if (now > end) {
      step expected = step::asked;
      if (current.state.compare_exchange(expected, step::idle, acq_rel)) {  // pairs: probe.state
        return false;
      }
    }
    note nobody;
    static_cast<void>(nobody.wait_until(now + 200'000));
    now = monotonic_ns();
  }
  return true;
}

}  // namespace

bool sample_thread(int id, stack_sample& out) noexcept {
  // It calls a handler when it sees fit, and what was interrupted has moved on by then.
  if (has_thread_sanitizer()) return false;
  const std::unique_lock<spinlock> alone(current.asker, std::try_to_lock);
  if (!alone.owns_lock() || !install_handler()) return false;
  current.whom.store(id, relaxed);            // relaxed: published by the next
  current.state.store(step::asked, release);  // pairs: probe.state
  if (::syscall(SYS_tgkill, ::getpid(), id, SIGURG) != 0) {
    current.state.store(step::idle, release);  // pairs: probe.state
    return false;
  }
  if (!wait_for_answer()) return false;
  out = current.sample;
  current.state.store(step::idle, release);  // pairs: probe.state
  return out.count != 0;
}

#else

bool sample_thread(int, stack_sample&) noexcept { return false; }

#endif

}  // namespace weft::inline WEFT_ABI::detail
