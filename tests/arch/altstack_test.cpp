// Alternate stacks and the overflow handler: what it reports, and that all else passes as if it
// were not there. Each case runs in a process of its own.
#include "weft/arch/altstack.hpp"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/recurse.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/pages.hpp"

using namespace weft::detail;

namespace {

constexpr int seen = 42;
constexpr int not_as_expected = 43;

stack expected;  // the one that a case overflows

void check_and_exit(const stack_place& place, void* address, void* context) {
  const char here = 0;
  stack_place mine;
  const bool right = place.in_guard && place.in == expected && context != nullptr &&
                     static_cast<std::byte*>(address) >= place.guard &&
                     static_cast<std::byte*>(address) < expected.limit && !find_stack(&here, mine);
  std::_Exit(right ? seen : not_as_expected);
}

void never_called(const stack_place&, void*, void*) { std::_Exit(not_as_expected); }
void not_mine(const stack_place&, void*, void*) { std::printf("hook "), std::fflush(stdout); }

void overflow() { std::_Exit(test::recurse(0)); }

void run_on(const stack& s, void (*f)()) {
  static ucontext_t there;
  static ucontext_t back;
  ::getcontext(&there);
  there.uc_stack.ss_sp = s.limit;
  there.uc_stack.ss_size = s.size();
  there.uc_link = &back;
  ::makecontext(&there, f, 0);
  ::swapcontext(&back, &there);
}

void write_to(void* p) { *static_cast<volatile char*>(p) = 1; }
void* unmapped() { return reinterpret_cast<void*>(std::uintptr_t{4096} * 3); }

void set_action(int signal, void (*handler)(int, siginfo_t*, void*), int flags) {
  struct sigaction action{};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  ::sigemptyset(&action.sa_mask);
  ::sigaddset(&action.sa_mask, SIGUSR2);
  ::sigaction(signal, &action, nullptr);
}

bool is_blocked(int signal) {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return ::sigismember(&mask, signal) == 1;
}

}  // namespace

TEST_CASE("altstack: an overflow reaches the hook, on a machine of any thread",
          "[arch][altstack][unit]") {
  const bool on_other_thread = GENERATE(false, true);
  const test::child_end end = test::in_child([on_other_thread] {
    install_overflow_handler(check_and_exit);
    const auto run = [] {
      const alt_stack alt;
      if (!alt.is_installed()) std::_Exit(not_as_expected);
      stack_pool pool(64 * 1024);
      expected = pool.allocate();
      run_on(expected, overflow);
    };
    if (on_other_thread) {
      std::thread(run).join();
    } else {
      run();
    }
  });
  CHECK(end.status == seen);
}

TEST_CASE("altstack: without a handler before, a fault has its default end",
          "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    install_overflow_handler(never_called);
    const alt_stack alt;
    write_to(unmapped());
  });
  CHECK(end.signal == SIGSEGV);
}

TEST_CASE("altstack: a hook that returns passes the fault on", "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    install_overflow_handler(not_mine);
    const alt_stack alt;
    stack_pool pool(64 * 1024);
    write_to(pool.allocate().limit - 1);
  });
  CHECK(end.out == "hook ");
  CHECK(end.signal == SIGSEGV);
}

TEST_CASE("altstack: a signal that was sent has its default end, too", "[arch][altstack][unit]") {
  const int signal = GENERATE(SIGSEGV, SIGBUS);
  const test::child_end end = test::in_child([signal] {
    install_overflow_handler(never_called);
    std::raise(signal);
    std::_Exit(not_as_expected);
  });
  CHECK(end.signal == signal);
}

TEST_CASE("altstack: an ignored signal stays ignored, but a fault is fatal",
          "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    std::signal(SIGSEGV, SIG_IGN);
    install_overflow_handler(never_called);
    std::raise(SIGSEGV);
    std::printf("ignored "), std::fflush(stdout);
    write_to(unmapped());
  });
  CHECK(end.out == "ignored ");
  CHECK(end.signal == SIGSEGV);
}

TEST_CASE("altstack: the handler before gets address, mask and context", "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    set_action(
        SIGSEGV,
        [](int signal, siginfo_t* info, void* context) {
          const bool right = signal == SIGSEGV && info->si_addr == unmapped() &&
                             info->si_code > 0 && context != nullptr && is_blocked(SIGUSR2) &&
                             is_blocked(SIGSEGV);
          std::_Exit(right ? seen : not_as_expected);
        },
        0);
    install_overflow_handler(never_called);
    const alt_stack alt;
    write_to(unmapped());
  });
  CHECK(end.status == seen);
}

TEST_CASE("altstack: the handler before may repair the fault and return",
          "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    static void* page = map_pages(page_size());
    ::mprotect(page, page_size(), PROT_NONE);
    errno = 0;
    set_action(
        SIGSEGV,
        [](int, siginfo_t*, void*) { ::mprotect(page, page_size(), PROT_READ | PROT_WRITE); },
        SA_NODEFER);
    install_overflow_handler(never_called);
    write_to(page);
    std::_Exit(*static_cast<char*>(page) == 1 && errno == 0 && !is_blocked(SIGUSR2)
                   ? seen
                   : not_as_expected);
  });
  CHECK(end.status == seen);
}

TEST_CASE("altstack: a plain handler before is called", "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    std::signal(SIGBUS, [](int signal) { std::_Exit(signal == SIGBUS ? seen : not_as_expected); });
    install_overflow_handler(never_called);
    std::raise(SIGBUS);
  });
  CHECK(end.status == seen);
}

TEST_CASE("altstack: a handler that asked to run once runs once", "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    set_action(
        SIGSEGV, [](int, siginfo_t*, void*) { std::printf("once "), std::fflush(stdout); },
        static_cast<int>(SA_RESETHAND));
    install_overflow_handler(never_called);
    write_to(unmapped());
  });
  CHECK(end.out == "once ");
  CHECK(end.signal == SIGSEGV);
}

TEST_CASE("altstack: it is installed once, whoever asks, and the last hook counts",
          "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int n = 0; n < 100; ++n) install_overflow_handler(never_called);
      });
    }
    for (std::thread& t : threads) t.join();
    install_overflow_handler(check_and_exit);
    const alt_stack alt;
    stack_pool pool(64 * 1024);
    expected = pool.allocate();
    // A handler that had saved itself as the one before would recurse here for ever.
    if (::fork() == 0) write_to(unmapped());
    run_on(expected, overflow);
  });
  CHECK(end.status == seen);
}

TEST_CASE("altstack: one that is there is kept", "[arch][altstack][unit]") {
  // AddressSanitizer gives one to each thread; without it the case makes its own.
  std::thread([] {
    std::vector<char> own(static_cast<std::size_t>(SIGSTKSZ) * 4);
    stack_t before{};
    ::sigaltstack(nullptr, &before);
    const bool had_one = (before.ss_flags & SS_DISABLE) == 0;
    if (!had_one) {
      before = {};
      before.ss_sp = own.data();
      before.ss_size = own.size();
      ::sigaltstack(&before, nullptr);
    }
    stack_t now{};
    {
      const alt_stack alt;
      if (!alt.is_installed()) std::abort();
    }
    ::sigaltstack(nullptr, &now);
    if (now.ss_sp != before.ss_sp) std::abort();
    if (!had_one) {
      now.ss_flags = SS_DISABLE;
      ::sigaltstack(&now, nullptr);
    }
  }).join();
}

TEST_CASE("altstack: it ends with its object", "[arch][altstack][unit]") {
  std::thread([] {
    stack_t before{};
    ::sigaltstack(nullptr, &before);
    for (int i = 0; i < 3; ++i) {
      const alt_stack alt;
      stack_t now{};
      ::sigaltstack(nullptr, &now);
      if (!alt.is_installed() || (now.ss_flags & SS_DISABLE) != 0) std::abort();
    }
    stack_t after{};
    ::sigaltstack(nullptr, &after);
    if (before.ss_flags != after.ss_flags) std::abort();
  }).join();
}

TEST_CASE("altstack: a refusal is told", "[arch][altstack][unit]") {
  const test::child_end end = test::in_child([] {
    std::thread([] {
      stack_t none{};
      none.ss_flags = SS_DISABLE;
      ::sigaltstack(&none, nullptr);
      static_cast<void>(guards_in_use());
      set_fault_hook_for_testing([](const char*) noexcept { return ENOMEM; });
      const alt_stack alt;
      std::_Exit(alt.is_installed() ? not_as_expected : seen);
    }).join();
  });
  CHECK(end.status == seen);
}
