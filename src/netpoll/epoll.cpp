// The poller over epoll: waits with nanosecond timeouts, broken by an eventfd.
//
// Break       the eventfd is level-triggered and reset by the wait that sees it, so a break before
//             the wait ends that wait.
// Alarm       a timerfd, for whoever polls the epoll descriptor instead of waiting here. A wait
//             that sees it go off resets it.
#include "weft/netpoll/epoll.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <utility>

#include "weft/arch/clock.hpp"
#include "weft/arch/descriptor.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/report.hpp"
#include "weft/arch/sanitizer.hpp"
#include "weft/arch/valgrind.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/timer_heap.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr int events_per_wait = 128;
constexpr std::int64_t second = 1'000'000'000;
constexpr int most_wait_tries = 100;  // of a call that a signal interrupts

class owned_fd {
 public:
  owned_fd() = default;
  explicit owned_fd(int fd) noexcept : fd_(fd) {}
  owned_fd(owned_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  owned_fd& operator=(owned_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~owned_fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

// Makes a descriptor by `call`, which a test may let fail.
template <class Call>
owned_fd make_descriptor(const char* name, Call call) {
  const int fd = above_standard_streams(may_fail(name, call));
  if (fd < 0) throw_errno(errno, name);
  return owned_fd(fd);
}

[[noreturn]] void report_poller_lost(const char* call, int error) noexcept {
  if (!begin_fatal_report()) end_process(2);
  report()
      .text("fatal error: the poller can't go on: ")
      .text(call)
      .text(": errno ")
      .number(error)
      .line(error == EBADF ? " (weft's descriptor was closed by another part of the program)" : "");
  end_process(2);
}

class epoll_poller final : public poller {
 public:
  epoll_poller()
      : epoll_(make_descriptor("epoll_create1", [] { return ::epoll_create1(EPOLL_CLOEXEC); })),
        break_(
            make_descriptor("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); })) {
    add(break_);
  }

  void wait(std::int64_t deadline) noexcept override {
    std::array<epoll_event, events_per_wait> events;
    const int n = wait_events(events.data(), deadline);
    for (int i = 0; i < n; ++i) {
      const void* source = events[static_cast<std::size_t>(i)].data.ptr;
      if (source == &break_) reset(break_);
      if (source == &alarm_) {
        reset(alarm_);
        alarm_time_ = never;
      }
    }
  }

  void break_wait() noexcept override {
    const std::uint64_t one = 1;
    // The counter can't overflow: each wait resets it. A wait that nothing breaks would last.
    for (int tries = 1;; ++tries) {
      const ssize_t n =
          may_fail("eventfd_write", [&] { return ::write(break_.get(), &one, sizeof one); });
      if (n >= 0 || errno == EAGAIN) return;
      if (errno != EINTR || tries == most_wait_tries) report_poller_lost("eventfd", errno);
    }
  }

  [[nodiscard]] bool has_waiters() const noexcept override { return false; }

  [[nodiscard]] int descriptor() const noexcept override { return epoll_.get(); }

  void enable_alarm() override {
    alarm_ = make_descriptor("timerfd_create", [] {
      return ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    });
    add(alarm_);
  }

  void set_alarm(std::int64_t when) noexcept override {
    if (when == alarm_time_) return;
    alarm_time_ = when;
    itimerspec at{};
    if (when != never) {
      // Zero would be no alarm at all.
      const std::int64_t due = std::max<std::int64_t>(when, 1);
      at.it_value.tv_sec = static_cast<time_t>(due / second);
      at.it_value.tv_nsec = static_cast<long>(due % second);
    }
    // Can't fail: the descriptor and the time are right.
    static_cast<void>(::timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &at, nullptr));
  }

 private:
  // The event carries the descriptor's place.
  void add(owned_fd& d) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &d;
    const int refused = may_fail(
        "epoll_ctl", [&] { return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, d.get(), &event); });
    if (refused != 0) throw_errno(errno, "epoll_ctl");
  }

  static void reset(const owned_fd& d) noexcept {
    std::uint64_t count = 0;
    // Refused, as when it is reset already: at most the next wait ends at once.
    static_cast<void>(
        may_fail("eventfd_read", [&] { return ::read(d.get(), &count, sizeof count); }));
  }

  // A wait without events is as good: the caller looks around anyway.
  int wait_events(epoll_event* events, std::int64_t deadline) noexcept {
    const std::int64_t left = deadline == never ? never : deadline - monotonic_ns();
#if defined(SYS_epoll_pwait2)
    if (has_pwait2_) {
      timespec limit{};
      if (left > 0 && left != never) {
        limit.tv_sec = static_cast<time_t>(left / second);
        limit.tv_nsec = static_cast<long>(left % second);
      }
      const long n = may_fail("epoll_wait", [&] {
        return ::syscall(SYS_epoll_pwait2, epoll_.get(), events, events_per_wait,
                         left == never ? nullptr : &limit, nullptr, std::size_t{0});
      });
      if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return checked(n);
      has_pwait2_ = false;
    }
#endif
    return checked(may_fail("epoll_wait", [&] {
      return ::epoll_wait(epoll_.get(), events, events_per_wait, to_ms(left));
    }));
  }

  // Interrupted, or no memory for it now: as without events. Anything else stays so: the program
  // has closed our descriptor, or forbids the call.
  static int checked(long n) noexcept {
    if (n < 0 && errno != EINTR && errno != ENOMEM) report_poller_lost("epoll_wait", errno);
    if (has_thread_sanitizer()) run_deferred_handlers();
    return static_cast<int>(n);
  }

  // Rounded up: a timer is never early, and a wait of 0 ms must not spin.
  static int to_ms(std::int64_t left) noexcept {
    constexpr std::int64_t longest = 1'000'000'000;
    if (left == never) return -1;
    if (left <= 0) return 0;
    const std::int64_t ms = (left - 1) / 1'000'000 + 1;
    return static_cast<int>(ms < longest ? ms : longest);
  }

  owned_fd epoll_;
  owned_fd break_;
  owned_fd alarm_;
  std::int64_t alarm_time_ = never;        // what it stands at
  bool has_pwait2_ = !runs_on_valgrind();  // see valgrind.hpp
};

}  // namespace

std::unique_ptr<poller> make_epoll_poller() { return std::make_unique<epoll_poller>(); }

}  // namespace weft::inline WEFT_ABI::detail
