// The futex behind a note.
#include "weft/arch/note.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "weft/arch/clock.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/report.hpp"
#include "weft/arch/sanitizer.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::uint32_t asleep_or_new = 0;
constexpr std::uint32_t woken = 1;

constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t between_deferred_handlers = 20'000'000;

// Sleeps while the word is `asleep_or_new`, until the absolute `deadline`. False: timed out.
bool futex_wait(atomic<std::uint32_t>& word, std::int64_t deadline) noexcept {
  std::int64_t wakes_at = deadline;
  if (has_thread_sanitizer()) {
    wakes_at = std::min(deadline, monotonic_ns() + between_deferred_handlers);
    run_deferred_handlers();
  }
  timespec until{};
  const timespec* limit = nullptr;
  if (wakes_at != for_ever) {
    until.tv_sec = static_cast<time_t>(wakes_at / 1'000'000'000);
    until.tv_nsec = static_cast<long>(wakes_at % 1'000'000'000);
    limit = &until;
  }
  const long result = may_fail("futex_wait", [&] {
    return ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, asleep_or_new, limit,
                     nullptr, FUTEX_BITSET_MATCH_ANY);
  });
  if (result == 0 || errno == EAGAIN) return true;
  if (errno == ETIMEDOUT) return wakes_at != deadline;
  // Refused, by a filter of system calls that came later than we: looks again and again.
  if (errno != EINTR) ::sched_yield();
  return deadline == for_ever || monotonic_ns() < deadline;
}

// Whoever sleeps would sleep for ever.
[[noreturn]] void report_no_wake(int error) noexcept {
  if (!begin_fatal_report()) end_process(2);
  report()
      .text("fatal error: the system refuses to wake a thread: futex, errno ")
      .number(error)
      .line();
  end_process(2);
}

}  // namespace

void note::wait() noexcept {
  while (word_.load(acquire) != woken)  // pairs: note.word
    futex_wait(word_, for_ever);
}

bool note::wait_until(std::int64_t deadline) noexcept {
  while (word_.load(acquire) != woken) {  // pairs: note.word
    if (deadline <= 0 || !futex_wait(word_, deadline)) {
      return word_.load(acquire) == woken;  // pairs: note.word
    }
  }
  return true;
}

void note::wake() noexcept {
  word_.store(woken, release);  // pairs: note.word
  const long woke = may_fail("futex_wake", [&] {
    return ::syscall(SYS_futex, &word_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
  });
  // EFAULT: the sleeper saw the word before, and the note is gone.
  if (woke < 0 && errno != EFAULT) report_no_wake(errno);
}

void note::clear() noexcept {
  word_.store(asleep_or_new, relaxed);  // relaxed: nobody wakes now
}

}  // namespace weft::inline WEFT_ABI::detail
