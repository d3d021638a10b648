// The alternate signal stacks and the handler for faults in a stack's guard.
#include "weft/arch/altstack.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iterator>

#include "weft/arch/atomic.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/pages.hpp"
#include "weft/arch/spinlock.hpp"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace weft::inline WEFT_ABI::detail {

namespace {

// What a report needs, unwinder included, beside the kernel's frame, which AVX-512 and its kin
// widen.
constexpr std::size_t room_for_reports = std::size_t{64} * 1024;

std::size_t alt_stack_size() noexcept {
  std::size_t frame = static_cast<std::size_t>(MINSIGSTKSZ);
#if defined(_SC_MINSIGSTKSZ)
  if (const long told = ::sysconf(_SC_MINSIGSTKSZ); told > 0)
    frame = static_cast<std::size_t>(told);
#endif
  const std::size_t page = page_size();
  return (frame + room_for_reports + page - 1) / page * page;
}

bool has_flag(const struct sigaction& action, unsigned flag) noexcept {
  return (static_cast<unsigned>(action.sa_flags) & flag) != 0;
}

// What was installed before us for one signal. Written once, before our handler can run.
struct previous_action {
  int signal;
  struct sigaction action{};
  // relaxed: of threads that race for a handler that asked to run once, one gets it
  atomic<bool> spent{false};
};

constinit previous_action previous[] = {{SIGSEGV}, {SIGBUS}};
constinit atomic<overflow_hook> current_hook{nullptr};
constinit spinlock install_lock;
bool is_handler_installed = false;  // guarded by install_lock

void set_default(int signal) noexcept {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

// Would the instruction fault again? Not if the signal was sent, or tells of a memory error
// elsewhere.
bool is_fault(const siginfo_t& info) noexcept {
#if defined(BUS_MCEERR_AO)
  if (info.si_signo == SIGBUS && info.si_code == BUS_MCEERR_AO) return false;
#endif
#if defined(SEGV_MTEAERR)
  if (info.si_signo == SIGSEGV && info.si_code == SEGV_MTEAERR) return false;
#endif
  return info.si_code > 0;
}

void send_again(int signal, siginfo_t* info) noexcept {
#if defined(__linux__)
  // It is blocked until the handler returns.
  if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), static_cast<int>(::syscall(SYS_gettid)), signal,
                info) == 0) {
    return;
  }
#else
  static_cast<void>(info);
#endif
  std::raise(signal);
}

void default_action(int signal, siginfo_t* info) noexcept {
  set_default(signal);
  if (!is_fault(*info)) send_again(signal, info);
}

void pass_on(int signal, siginfo_t* info, void* context) {
  previous_action& before = *std::find_if(std::begin(previous), std::end(previous),
                                          [&](const auto& p) { return p.signal == signal; });
  const struct sigaction& action = before.action;
  const bool wants_info = has_flag(action, SA_SIGINFO);
  if (!wants_info && action.sa_handler == SIG_IGN) {
    if (is_fault(*info)) set_default(signal);
    return;
  }
  if (!wants_info && action.sa_handler == SIG_DFL) {
    default_action(signal, info);
    return;
  }
  // relaxed: see there
  if (has_flag(action, SA_RESETHAND) && before.spent.exchange(true, relaxed)) {
    default_action(signal, info);
    return;
  }
  if (wants_info) {
    action.sa_sigaction(signal, info, context);
  } else {
    action.sa_handler(signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const overflow_hook hook = current_hook.load(acquire);  // pairs: overflow.hook
  stack_place place;
  if (is_fault(*info) && find_stack(info->si_addr, place) && place.in_guard && hook != nullptr) {
    hook(place, info->si_addr, context);
  }
  errno = saved_errno;
  pass_on(signal, info, context);
}

}  // namespace

namespace {

// Null: refused. Without a guard it still serves.
void* map_alt_stack(std::size_t& bytes, std::size_t& guards) noexcept {
  const std::size_t page = page_size();
  bytes = alt_stack_size() + page;
  void* start = map_pages(bytes);
  if (start != nullptr) guards = install_guards(static_cast<std::byte*>(start), bytes, 1, page);
  return start;
}

void unmap_alt_stack(void* start, std::size_t bytes, std::size_t guards) noexcept {
  unmap_pages(start, bytes);
  forget_guards(guards);
}

// Behind the guard.
stack_t usable_part(void* start, std::size_t bytes) noexcept {
  stack_t part{};
  part.ss_sp = static_cast<std::byte*>(start) + page_size();
  part.ss_size = bytes - page_size();
  return part;
}

bool set_alt_stack(const stack_t& now, stack_t* before) noexcept {
  return may_fail("sigaltstack", [&] { return ::sigaltstack(&now, before); }) == 0;
}

bool is_disabled(const stack_t& s) noexcept { return (s.ss_flags & SS_DISABLE) != 0; }

}  // namespace

alt_stack::alt_stack() noexcept {
  stack_t present{};
  if (::sigaltstack(nullptr, &present) == 0 && !is_disabled(present)) {
    installed_ = true;
    return;
  }
  void* start = map_alt_stack(bytes_, guards_);
  if (start == nullptr) return;
  if (!set_alt_stack(usable_part(start, bytes_), nullptr)) {
    unmap_alt_stack(start, bytes_, guards_);
    return;
  }
  start_ = start;
  installed_ = true;
}

alt_stack::~alt_stack() {
  if (start_ == nullptr) return;
  stack_t present{};
  if (::sigaltstack(nullptr, &present) == 0 && present.ss_sp == usable_part(start_, bytes_).ss_sp) {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    // Refused: it stays, for signals that this thread may still get.
    if (may_fail("sigaltstack", [&] { return ::sigaltstack(&none, nullptr); }) != 0) return;
  }
  unmap_alt_stack(start_, bytes_, guards_);
}

lent_alt_stack::~lent_alt_stack() {
  if (start_ != nullptr) unmap_alt_stack(start_, bytes_, guards_);
}

void lent_alt_stack::lend() noexcept {
  if (start_ == nullptr) start_ = map_alt_stack(bytes_, guards_);
  stack_t before{};
  is_lent_ = start_ != nullptr && set_alt_stack(usable_part(start_, bytes_), &before);
  if (is_lent_ && !is_disabled(before)) {
    ::sigaltstack(&before, nullptr);
    is_lent_ = false;
  }
}

void lent_alt_stack::take_back() noexcept {
  if (!is_lent_) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  stack_t before{};
  // One that a library has installed meanwhile stays.
  if (::sigaltstack(&none, &before) == 0 && before.ss_sp != usable_part(start_, bytes_).ss_sp &&
      !is_disabled(before))
    ::sigaltstack(&before, nullptr);
}

void install_overflow_handler(overflow_hook hook) noexcept {
  lock_guard guard(install_lock);
  if (is_handler_installed) {
    current_hook.store(hook, release);  // pairs: overflow.hook
    return;
  }
  // A signal whose present action is not told keeps it: it could not be passed on.
  bool known[std::size(previous)];
  for (std::size_t i = 0; i < std::size(previous); ++i) {
    previous_action& p = previous[i];
    known[i] =
        may_fail("sigaction", [&] { return ::sigaction(p.signal, nullptr, &p.action); }) == 0;
  }
  current_hook.store(hook, release);  // pairs: overflow.hook
  for (std::size_t i = 0; i < std::size(previous); ++i) {
    if (!known[i]) continue;
    const previous_action& p = previous[i];
    struct sigaction action{};
    action.sa_sigaction = on_fault;
    action.sa_mask = p.action.sa_mask;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (p.action.sa_flags & (SA_NODEFER | SA_RESTART));
    // Refused: an overflow ends the process without the report.
    static_cast<void>(
        may_fail("sigaction", [&] { return ::sigaction(p.signal, &action, nullptr); }));
  }
  is_handler_installed = true;
}

}  // namespace weft::inline WEFT_ABI::detail
