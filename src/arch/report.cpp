// Writing reports, the one fatal report of a process, and what std::terminate does.
#include "weft/arch/report.hpp"

#include <cxxabi.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <typeinfo>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "weft/arch/atomic.hpp"
#include "weft/arch/backtrace.hpp"

namespace weft::inline WEFT_ABI::detail {
namespace {

// Keeps SIGPIPE from ending the process with another status than the report's, without touching
// the process's disposition: a signal that a write of this thread raised is taken off again.
class sigpipe_guard {
 public:
  sigpipe_guard() noexcept {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~sigpipe_guard() {
    if (raised_ && !was_pending_) {
#if defined(__APPLE__)
      int taken = 0;
      sigwait(&pipe_, &taken);
#else
      const timespec at_once{};
      while (sigtimedwait(&pipe_, nullptr, &at_once) == -1 && errno == EINTR) {
      }
#endif
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  sigpipe_guard(const sigpipe_guard&) = delete;
  sigpipe_guard& operator=(const sigpipe_guard&) = delete;

  void was_raised() noexcept { raised_ = true; }

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_ = false;
  bool raised_ = false;
};

// A descriptor that is set to non-blocking gets this long to take more.
constexpr int patience_ms = 1000;

void write_to_descriptor(void* argument, const char* text, std::size_t size) {
  const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
  const int saved_errno = errno;
  {
    sigpipe_guard guard;
    while (size != 0) {
      const ssize_t written = ::write(fd, text, size);
      if (written >= 0) {
        text += written;
        size -= static_cast<std::size_t>(written);
      } else if (errno == EAGAIN) {
        pollfd waiting{fd, POLLOUT, 0};
        if (::poll(&waiting, 1, patience_ms) == 0) break;
      } else if (errno != EINTR) {
        if (errno == EPIPE) guard.was_raised();
        break;
      }
    }
  }
  errno = saved_errno;
}

long caller_id() noexcept {
#if defined(__linux__)
  return ::syscall(SYS_gettid);
#else
  return static_cast<long>(reinterpret_cast<std::intptr_t>(::pthread_self()));
#endif
}

constinit atomic<long> fatal_reporter{0};
constinit atomic<dump_hook> current_dump_hook{nullptr};
constinit atomic<terminate_hook> current_terminate_hook{nullptr};
constinit atomic<std::terminate_handler> previous_handler{nullptr};
constinit atomic<bool> handler_installed{false};

[[noreturn]] void on_terminate() {
  if (terminate_hook hook = current_terminate_hook.load(acquire)) {  // pairs: report.hook
    if (hook(std::current_exception())) end_process(2);
  }
  if (std::terminate_handler previous = previous_handler.load(acquire)) {  // pairs: report.hook
    previous();
  }
  std::abort();
}

// What is thrown by std::throw_with_nested is a class of the library's own around the user's.
std::string type_without_nesting(const char* mangled) {
  std::string name = demangle(mangled);
  constexpr std::string_view wrapper = "std::_Nested_exception<";
  if (name.starts_with(wrapper) && name.ends_with('>')) {
    name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
    while (name.ends_with(' ')) name.pop_back();
  }
  return name;
}

// One level: its text, and the level inside it.
struct level {
  std::string text;
  std::exception_ptr inner;
};

// By a handler and not by dynamic_cast, so that the library may be built without RTTI.
std::exception_ptr inside_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::nested_exception& nested) {
    return nested.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

level describe_level(const std::exception_ptr& exception) {
  level result;
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    result.text = e.what();
    result.inner = inside_of(exception);
  } catch (const std::nested_exception& nested) {
    result.text = type_without_nesting(abi::__cxa_current_exception_type()->name());
    result.inner = nested.nested_ptr();
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    result.text = type != nullptr ? demangle(type->name()) : "exception of another language";
  }
  return result;
}

}  // namespace

report::report(int fd) noexcept
    : write_(write_to_descriptor),
      argument_(reinterpret_cast<void*>(static_cast<std::intptr_t>(fd))) {}

report& report::text(std::string_view words) {
  while (!words.empty()) {
    if (used_ == sizeof(buffer_)) flush();
    const std::size_t n = std::min(words.size(), sizeof(buffer_) - used_);
    std::memcpy(buffer_ + used_, words.data(), n);
    used_ += n;
    words.remove_prefix(n);
  }
  return *this;
}

report& report::indented(std::string_view words) {
  for (;;) {
    const std::size_t end = words.find('\n');
    if (end == std::string_view::npos) return text(words);
    text(words.substr(0, end + 1)).text("\t");
    words.remove_prefix(end + 1);
  }
}

report& report::put_unsigned(std::uint64_t n) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), n);
  return text({digits.data(), end.ptr});
}

report& report::put_signed(std::int64_t n) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), n);
  return text({digits.data(), end.ptr});
}

report& report::hex(std::uintptr_t n) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), n, 16);
  return text("0x").text({digits.data(), end.ptr});
}

report& report::address(const void* p) { return hex(reinterpret_cast<std::uintptr_t>(p)); }

void report::flush() {
  const std::size_t n = used_;
  used_ = 0;
  if (n != 0) write_(argument_, buffer_, n);
}

bool begin_fatal_report() noexcept {
  const long self = caller_id();
  long owner = 0;
  // relaxed: only who won matters; the reporter publishes nothing to those who wait
  if (fatal_reporter.compare_exchange(owner, self, relaxed)) return true;
  if (owner == self) return false;
  for (;;) ::pause();
}

void end_process(int status) noexcept { ::_exit(status); }

void set_dump_hook(dump_hook hook) noexcept {
  current_dump_hook.store(hook, release);  // pairs: report.hook
}

void fatal_invariant(const char* what) noexcept {
  if (begin_fatal_report()) {
    report out;
    out.text("fatal error: weft: ").line(what);
    // The line stands even if the dump fails, which walks structures that are in doubt.
    out.flush();
    if (dump_hook dump = current_dump_hook.load(acquire)) {  // pairs: report.hook
      out.line();
      dump(out);
    }
    out.flush();
  }
  std::abort();
}

void describe_exception(const std::exception_ptr& exception, report& out) {
  constexpr std::size_t most_levels = 64;
  std::array<std::string, most_levels> levels;
  std::size_t count = 0;
  std::exception_ptr current = exception;
  while (current != nullptr && count < most_levels) {
    level next = describe_level(current);
    levels[count++] = std::move(next.text);
    current = std::move(next.inner);
  }
  if (count == 0) out.line("panic: terminated without an exception");
  const char* before = "panic: ";
  if (current != nullptr) {
    out.line("panic: (more levels inside)");
    before = "\tpanic: ";
  }
  while (count != 0) {
    out.text(before).indented(levels[--count]).line();
    before = "\tpanic: ";
  }
}

void install_terminate_handler(terminate_hook hook) noexcept {
  current_terminate_hook.store(hook, release);  // pairs: report.hook
  // relaxed: elects the one that installs
  if (handler_installed.exchange(true, relaxed)) return;
  previous_handler.store(std::set_terminate(on_terminate), release);  // pairs: report.hook
}

}  // namespace weft::inline WEFT_ABI::detail
