// OS threads: what they run with, their names and signal masks, their number, and refusals.
#include "weft/arch/thread.hpp"

#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "support/catch.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/note.hpp"

using namespace weft::detail;

namespace {

// What a thread sees of itself; it runs until it is released.
struct seen {
  note ready;
  note go_on;
  int id = 0;
  std::size_t stack_size = 0;
  sigset_t blocked{};

  static void* look(void* argument) noexcept {
    auto& me = *static_cast<seen*>(argument);
    me.id = current_thread_id();
    pthread_attr_t attributes;
    ::pthread_getattr_np(::pthread_self(), &attributes);
    ::pthread_attr_getstacksize(&attributes, &me.stack_size);
    ::pthread_attr_destroy(&attributes);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &me.blocked);
    me.ready.wake();
    me.go_on.wait();
    return nullptr;
  }
};

std::string name_of(int thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

void* do_nothing(void*) noexcept { return nullptr; }

int refuse_threads(const char* call) noexcept {
  return std::strcmp(call, "pthread_create") == 0 ? EAGAIN : 0;
}

// A line of /proc/<pid>/stat.
std::string stat_of(const std::string& name, const std::string& threads) {
  return "1234 (" + name + ") S 1 1234 1234 0 -1 4194560 500 0 0 0 1 2 0 0 20 0 " + threads +
         " 0 8000 1000000 200 18446744073709551615 1 1 0\n";
}

}  // namespace

TEST_CASE("thread: it runs with its name, its stack and its creator's signals",
          "[arch][thread][unit]") {
  seen s;
  os_thread thread;
  CHECK_FALSE(thread.is_joinable());
  const std::size_t stack = std::size_t{512} * 1024;
  REQUIRE(thread.start(&seen::look, &s, {.stack_size = stack, .name = "weft-machine-no-17"}) ==
          std::errc{});
  CHECK(thread.is_joinable());
  s.ready.wait();
  CHECK(s.id != current_thread_id());
  CHECK(name_of(s.id) == "weft-machine-no");
  CHECK(s.stack_size >= stack);
  CHECK(s.stack_size < 4 * stack);
  CHECK(::sigismember(&s.blocked, SIGINT) == 0);
  CHECK(::sigismember(&s.blocked, SIGUSR1) == 0);
  s.go_on.wake();
  thread.join();
  CHECK_FALSE(thread.is_joinable());
}

TEST_CASE("thread: a service thread takes no signals but those of faults", "[arch][thread][unit]") {
  sigset_t before;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  seen s;
  os_thread thread;
  REQUIRE(thread.start(&seen::look, &s, {.block_signals = true}) == std::errc{});
  s.ready.wait();
  for (int blocked : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPROF, SIGCHLD}) {
    CHECK(::sigismember(&s.blocked, blocked) == 1);
  }
  for (int open : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) CHECK(::sigismember(&s.blocked, open) == 0);
  s.go_on.wake();
  thread.join();
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
  }
}

TEST_CASE("thread: a stack that is too small is raised to what the system needs",
          "[arch][thread][unit]") {
  seen s;
  os_thread thread;
  REQUIRE(thread.start(&seen::look, &s, {.stack_size = 1}) == std::errc{});
  s.ready.wait();
  CHECK(s.stack_size >= std::size_t{16} * 1024);
  s.go_on.wake();
  thread.join();
}

TEST_CASE("thread: the process's threads are counted", "[arch][thread][unit]") {
  // The first thread of a process may bring a sanitizer's own with it.
  std::thread([] {}).join();
  const int before = process_thread_count();
  CHECK(before >= 1);
  seen s;
  os_thread thread;
  REQUIRE(thread.start(&seen::look, &s, {}) == std::errc{});
  s.ready.wait();
  CHECK(process_thread_count() == before + 1);
  s.go_on.wake();
  thread.join();
}

TEST_CASE("thread: the count is read whatever the program is called", "[arch][thread][unit]") {
  CHECK(parse_thread_count(stat_of("prog", "7")) == 7);
  CHECK(parse_thread_count(stat_of("a b) S 1 (c", "12")) == 12);
  CHECK(parse_thread_count(stat_of(")", "1")) == 1);
  CHECK(parse_thread_count("") == 0);
  CHECK(parse_thread_count("1 (x) S 1 2") == 0);
  CHECK(parse_thread_count(stat_of("x", "many")) == 0);
}

TEST_CASE("thread: a handle moves, and a thread may be left to itself", "[arch][thread][unit]") {
  seen s;
  os_thread first;
  REQUIRE(first.start(&seen::look, &s, {}) == std::errc{});
  os_thread second(std::move(first));
  CHECK_FALSE(first.is_joinable());
  CHECK(second.is_joinable());
  first = std::move(second);
  s.go_on.wake();
  first.join();

  REQUIRE(first.start(&do_nothing, nullptr, {.name = "brief"}) == std::errc{});
  first.detach();
  CHECK_FALSE(first.is_joinable());
}

TEST_CASE("thread: a refusal is told and leaves nothing", "[arch][thread][unit]") {
  os_thread thread;
  set_fault_hook_for_testing(refuse_threads);
  const std::errc refused = thread.start(&do_nothing, nullptr, {.block_signals = true});
  set_fault_hook_for_testing(nullptr);
  CHECK(refused == std::errc::resource_unavailable_try_again);
  CHECK_FALSE(thread.is_joinable());
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  CHECK(::sigismember(&mask, SIGTERM) == 0);
  REQUIRE(thread.start(&do_nothing, nullptr, {}) == std::errc{});
  thread.join();
}

TEST_CASE("thread: the calling thread can be named", "[arch][thread][unit]") {
  const std::string before = name_of(current_thread_id());
  set_current_thread_name("a-name-of-its-own");
  CHECK(name_of(current_thread_id()) == "a-name-of-its-o");
  set_current_thread_name(before.c_str());
}
