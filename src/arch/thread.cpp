// OS threads over pthread.
#include "weft/arch/thread.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstring>
#include <utility>

#include "weft/arch/fault.hpp"
#include "weft/arch/pages.hpp"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace weft::inline WEFT_ABI::detail {

namespace {

static_assert(sizeof(pthread_t) == sizeof(std::uintptr_t));

pthread_t native(std::uintptr_t handle) noexcept { return std::bit_cast<pthread_t>(handle); }

std::size_t least_stack() noexcept {
#if defined(_SC_THREAD_STACK_MIN)
  const long least = ::sysconf(_SC_THREAD_STACK_MIN);
  if (least > 0) return static_cast<std::size_t>(least);
#endif
  return std::size_t{16} * 1024;
}

// The name as the kernel takes it: 15 bytes and a zero.
struct short_name {
  char bytes[16] = {};

  explicit short_name(const char* name) noexcept {
    std::memcpy(bytes, name, ::strnlen(name, sizeof bytes - 1));
  }
};

// Blocks all signals for the creator, so that the new thread starts with them blocked, and restores
// them. What a fault raises is left alone: blocked, it would end the process without a handler.
class signals_blocked {
 public:
  explicit signals_blocked(bool wanted) noexcept {
    if (!wanted) return;
    sigset_t all;
    ::sigfillset(&all);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
      ::sigdelset(&all, fault);
    }
    int error = injected_fault("pthread_sigmask");
    if (error == 0) error = ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    active_ = error == 0;
  }
  ~signals_blocked() {
    if (active_) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

 private:
  sigset_t before_;
  bool active_ = false;  // refused: the thread takes signals like any other
};

int create(pthread_t* thread, std::size_t stack_size, os_thread::entry run,
           void* argument) noexcept {
  if (int error = injected_fault("pthread_create"); error != 0) return error;
  pthread_attr_t attributes;
  if (int error = ::pthread_attr_init(&attributes); error != 0) return error;
  if (stack_size != 0) {
    const std::size_t page = page_size();
    const std::size_t wanted = std::max(stack_size, least_stack());
    // A size that the system does not take leaves its default.
    ::pthread_attr_setstacksize(&attributes, (wanted + page - 1) / page * page);
  }
  const int error = ::pthread_create(thread, &attributes, run, argument);
  ::pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace

os_thread::os_thread(os_thread&& other) noexcept
    : handle_(other.handle_), started_(std::exchange(other.started_, false)) {}

os_thread& os_thread::operator=(os_thread&& other) noexcept {
  assert(!started_ && "os_thread: joined or detached before it is replaced");
  handle_ = other.handle_;
  started_ = std::exchange(other.started_, false);
  return *this;
}

os_thread::~os_thread() { assert(!started_ && "os_thread: joined or detached before its end"); }

std::errc os_thread::start(entry run, void* argument, const thread_options& options) noexcept {
  assert(!started_ && "os_thread: started once");
  pthread_t thread;
  int error;
  {
    const signals_blocked blocked(options.block_signals);
    error = create(&thread, options.stack_size, run, argument);
    // Static thread-locals take their part of the stack: what was enough in one program is not in
    // another.
    if (error == EINVAL) error = create(&thread, 0, run, argument);
  }
  if (error != 0) return static_cast<std::errc>(error);
  handle_ = std::bit_cast<std::uintptr_t>(thread);
  started_ = true;
#if defined(__linux__)
  // Joinable, so the thread is still there even if it has ended.
  if (options.name != nullptr) ::pthread_setname_np(thread, short_name(options.name).bytes);
#endif
  return std::errc{};
}

void os_thread::join() noexcept {
  assert(started_ && "os_thread: joined once");
  ::pthread_join(native(handle_), nullptr);
  started_ = false;
}

void os_thread::detach() noexcept {
  assert(started_ && "os_thread: detached once");
  ::pthread_detach(native(handle_));
  started_ = false;
}

void set_current_thread_name(const char* name) noexcept {
#if defined(__APPLE__)
  ::pthread_setname_np(short_name(name).bytes);
#elif defined(__linux__)
  ::pthread_setname_np(::pthread_self(), short_name(name).bytes);
#else
  static_cast<void>(name);
#endif
}

int current_thread_id() noexcept {
#if defined(__linux__)
  return static_cast<int>(::syscall(SYS_gettid));
#elif defined(__APPLE__)
  std::uint64_t id = 0;
  ::pthread_threadid_np(nullptr, &id);
  return static_cast<int>(id);
#else
  return static_cast<int>(std::bit_cast<std::uintptr_t>(::pthread_self()));
#endif
}

int parse_thread_count(std::string_view stat) noexcept {
  // The second field is the program's name in parentheses, which may itself hold any of them.
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return 0;
  std::size_t at = name_end + 1;
  constexpr int fields_between = 17;  // from the state to the one before num_threads
  for (int i = 0; i < fields_between; ++i) {
    at = stat.find(' ', at + 1);
    if (at == std::string_view::npos) return 0;
  }
  int count = 0;
  const char* first = stat.data() + at + 1;
  if (std::from_chars(first, stat.data() + stat.size(), count).ec != std::errc{}) return 0;
  return std::max(count, 0);
}

int process_thread_count() noexcept {
  const int file = may_fail("open", [] { return ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC); });
  if (file < 0) return 0;
  char text[1024];
  const ssize_t n = may_fail("read", [&] { return ::read(file, text, sizeof text); });
  ::close(file);
  return n > 0 ? parse_thread_count({text, static_cast<std::size_t>(n)}) : 0;
}

}  // namespace weft::inline WEFT_ABI::detail
