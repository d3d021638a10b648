// Stack traces: of the caller, of a paused fiber, of what a signal interrupted; and their names.
#include "weft/arch/backtrace.hpp"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/lone_fiber.hpp"
#include "weft/arch/report.hpp"

namespace {

using test::lone_fiber;
using strings = std::vector<std::string>;

constexpr std::size_t most = 128;

strings functions(void* const* pcs, std::size_t count) {
  strings result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(weft::detail::describe(pcs[i]).function);
  return result;
}

// The first function whose name begins so, or the size.
std::size_t place_of(const strings& trace, const std::string& name) {
  const auto found = std::find_if(trace.begin(), trace.end(),
                                  [&](const std::string& s) { return s.starts_with(name); });
  return static_cast<std::size_t>(found - trace.begin());
}

void* pcs[most];
std::size_t count = 0;

void keep_frame() { weft::detail::compiler_fence(); }

}  // namespace

// Not in the unnamed namespace: their names are what is tested.
namespace backtrace_test {

WEFT_NOINLINE void innermost(std::size_t skip) {
  count = weft::detail::capture(pcs, most, skip);
  keep_frame();
}
WEFT_NOINLINE void caller(std::size_t skip) {
  innermost(skip);
  keep_frame();
}

// Keeps many values over the pause, so that the callers' registers are saved along the way.
WEFT_NOINLINE std::uint64_t pauses(lone_fiber& f, std::uint64_t depth) {
  std::uint64_t a = depth * 3;
  std::uint64_t b = depth ^ 0x55;
  std::uint64_t c = depth + 7;
  std::uint64_t d = depth * depth;
  std::uint64_t result = 0;
  if (depth == 0) {
    f.pause();
  } else {
    result = pauses(f, depth - 1);
  }
  return result + a * b + c * d;
}

WEFT_NOINLINE void raises() {
  std::raise(SIGUSR1);
  keep_frame();
}

WEFT_NOINLINE int overflows(volatile char* above) {
  volatile char here[256];
  here[0] = above[0];
  return here[0] == 0 ? 0 : overflows(here) + here[0];
}

}  // namespace backtrace_test

TEST_CASE("backtrace: begins at the caller and can skip callers", "[arch][unit][SC-30]") {
  backtrace_test::caller(0);
  strings trace = functions(pcs, count);
  REQUIRE(trace.size() > 2);
  CHECK(trace[0] == "backtrace_test::innermost(unsigned long)");
  CHECK(trace[1] == "backtrace_test::caller(unsigned long)");
  CHECK(place_of(trace, "main") < trace.size());

  backtrace_test::caller(1);
  trace = functions(pcs, count);
  CHECK(trace[0] == "backtrace_test::caller(unsigned long)");

  void* few[2];
  CHECK(weft::detail::capture(few, 2) == 2);
  CHECK(weft::detail::capture(few, 0) == 0);
}

TEST_CASE("backtrace: a paused fiber's stack is walked from outside", "[arch][unit][SC-30]") {
  std::uint64_t result = 0;
  lone_fiber f([&](lone_fiber& self) { result = backtrace_test::pauses(self, 10); });

  weft::detail::saved_registers r = weft::detail::registers_of_suspended(f.context());
  CHECK(r.pc == nullptr);  // never run
  CHECK(weft::detail::capture(r, pcs, most) == 0);

  f.resume();
  r = weft::detail::registers_of_suspended(f.context());
  REQUIRE(r.pc != nullptr);
  const strings trace = functions(pcs, weft::detail::capture(r, pcs, most));
  const std::size_t first = place_of(trace, "backtrace_test::pauses");
  REQUIRE(first < 4);  // below the switch
  REQUIRE(trace.size() > first + 12);
  for (std::size_t i = 0; i <= 10; ++i)
    CHECK(trace[first + i].starts_with("backtrace_test::pauses"));
  CHECK(trace.back().starts_with("test::lone_fiber::entry"));
  CHECK(weft::detail::capture(r, pcs, 3) == 3);

  f.resume();
  CHECK(f.has_ended());
  CHECK(result != 0);
}

TEST_CASE("backtrace: in a signal handler, of what was interrupted", "[arch][os][SC-30]") {
  struct sigaction action{};
  struct sigaction before{};
  action.sa_sigaction = [](int, siginfo_t*, void* context) {
    count = weft::detail::capture(weft::detail::registers_of_interrupted(context), pcs, most);
  };
  action.sa_flags = SA_SIGINFO;
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  count = 0;
  lone_fiber f([](lone_fiber&) { backtrace_test::raises(); });
  f.resume();
  ::sigaction(SIGUSR1, &before, nullptr);
  const strings trace = functions(pcs, count);
  CHECK(place_of(trace, "backtrace_test::raises") < 6);
  REQUIRE(!trace.empty());
  CHECK(trace.back().starts_with("test::lone_fiber::entry"));
}

TEST_CASE("backtrace: of a stack that overflowed", "[arch][os][SC-27]") {
  const test::child_end end = test::in_child([] {
    static std::array<char, 64 * 1024> alternate;
    stack_t alt{};
    alt.ss_sp = alternate.data();
    alt.ss_size = alternate.size();
    ::sigaltstack(&alt, nullptr);
    struct sigaction action{};
    action.sa_sigaction = [](int, siginfo_t*, void* context) {
      count = weft::detail::capture(weft::detail::registers_of_interrupted(context), pcs, 8);
      {
        weft::detail::report out(1);
        weft::detail::print_stack(out, pcs, count, weft::detail::names::raw);
      }
      weft::detail::end_process(3);
    };
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigaction(SIGSEGV, &action, nullptr);
    ::sigaction(SIGBUS, &action, nullptr);
    volatile char top[1] = {1};
    lone_fiber f([&](lone_fiber&) { backtrace_test::overflows(top); });
    // The lone fiber's stack is heap memory; here one without access lies in the middle of it.
    const std::uintptr_t middle =
        (reinterpret_cast<std::uintptr_t>(f.context()) - 128 * 1024) & ~std::uintptr_t{4095};
    ::mprotect(reinterpret_cast<void*>(middle), 4096, PROT_NONE);
    f.resume();
  });
  INFO(end.out);
  CHECK(end.status == 3);
  CHECK(end.out.starts_with("_ZN14backtrace_test9overflows"));
  CHECK(std::count(end.out.begin(), end.out.end(), '\n') == 16);
}

TEST_CASE("backtrace: the chain of frame pointers is read within its bounds only", "[arch][unit]") {
  // Words of a stack that grows down: {caller's frame, return address} at 2, 6 and 10.
  std::array<std::uintptr_t, 16> stack{};
  const auto at = [&](std::size_t i) { return reinterpret_cast<std::uintptr_t>(&stack[i]); };
  const auto walk = [&](std::size_t from, std::size_t lower, std::size_t upper) {
    std::array<void*, 8> found{};
    const std::size_t n = weft::detail::capture_frame_pointers(
        stack.data() + from, reinterpret_cast<void*>(0x1000), stack.data() + lower,
        stack.data() + upper, found.data(), found.size());
    std::vector<std::uintptr_t> result;
    for (std::size_t i = 0; i < n; ++i)
      result.push_back(reinterpret_cast<std::uintptr_t>(found[i]));
    return result;
  };
  using words = std::vector<std::uintptr_t>;
  stack[2] = at(6);
  stack[3] = 0x2001;
  stack[6] = at(10);
  stack[7] = 0x3001;
  stack[10] = 0;
  stack[11] = 0x4001;
  CHECK(walk(2, 0, 16) == words{0x1000, 0x2000, 0x3000, 0x4000});
  CHECK(walk(2, 0, 11) == words{0x1000, 0x2000, 0x3000});
  CHECK(walk(2, 3, 16) == words{0x1000});

  stack[6] = at(2);  // a loop
  CHECK(walk(2, 0, 16) == words{0x1000, 0x2000, 0x3000});
  stack[6] = at(10) + 1;  // not aligned
  CHECK(walk(2, 0, 16) == words{0x1000, 0x2000, 0x3000});
  stack[3] = 0;  // the end
  CHECK(walk(2, 0, 16) == words{0x1000});
}

TEST_CASE("backtrace: names with and without allocation", "[arch][unit]") {
  void* const pc =
      reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(&backtrace_test::innermost) + 1);
  const weft::detail::symbol s = weft::detail::describe(pc);
  CHECK(s.function == "backtrace_test::innermost(unsigned long)");
  CHECK(s.offset == 1);
  CHECK_FALSE(s.module.empty());
  CHECK(s.module.find('/') == std::string::npos);

  const weft::detail::raw_symbol raw = weft::detail::describe_raw(pc);
  CHECK(std::string(raw.function) == "_ZN14backtrace_test9innermostEm");
  CHECK(raw.offset == 1);
  CHECK(raw.module == s.module);
  CHECK(raw.module_offset == s.module_offset);

  const weft::detail::raw_symbol library =
      weft::detail::describe_raw(::dlsym(RTLD_DEFAULT, "_ZSt9terminatev"));
  CHECK(std::string(library.function) == "_ZSt9terminatev");
  CHECK(library.offset == 0);

  int local = 0;
  const weft::detail::raw_symbol none = weft::detail::describe_raw(&local);
  CHECK(none.function[0] == '\0');
  CHECK(none.module[0] == '\0');
}

TEST_CASE("backtrace: demangles types and leaves other names as they are", "[arch][unit]") {
  CHECK(weft::detail::demangle("St13runtime_error") == "std::runtime_error");
  CHECK(weft::detail::demangle("main") == "main");
}

TEST_CASE("backtrace: a stack is printed with two lines a frame", "[arch][unit][SC-30]") {
  backtrace_test::caller(0);
  for (const auto how : {weft::detail::names::demangled, weft::detail::names::raw}) {
    std::string text;
    {
      weft::detail::report out([](void* to, const char* t,
                                  std::size_t n) { static_cast<std::string*>(to)->append(t, n); },
                               &text);
      weft::detail::print_stack(out, pcs, 2, how);
    }
    INFO(text);
    CHECK(std::count(text.begin(), text.end(), '\n') == 4);
    CHECK(std::count(text.begin(), text.end(), '\t') == 2);
    CHECK(text.find("+0x") != std::string::npos);
  }
}
