// Refused system calls: whole runs in which the n-th call of a kind fails, and runs under limits.
//
// fault_program.cpp is run for each case in a process of its own. Each end is one of: the run
// worked; it threw an error that tells what was refused; weft ended the process with a report. It
// is never a hang, a signal, or something left behind.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/probe.hpp"

namespace {

using words = std::vector<std::string>;

std::string text_of(const words& all) {
  std::string text;
  for (const std::string& word : all) text += word + " ";
  return text;
}

test::child_end run_program(words arguments) {
  INFO("fault_program " << text_of(arguments));
  return test::in_child(
      [&] {
        // What the C library keeps for later threads would look like a leak.
        ::setenv("GLIBC_TUNABLES", "glibc.pthread.stack_cache_size=0:glibc.malloc.arena_max=1", 1);
        std::string program = WEFT_FAULT_PROGRAM;
        std::vector<char*> argv{program.data()};
        for (std::string& word : arguments) argv.push_back(word.data());
        argv.push_back(nullptr);
        ::execv(argv[0], argv.data());
        ::_exit(127);
      },
      std::chrono::seconds(60));
}

struct kind {
  const char* call;
  std::vector<int> errors;  // what the system may refuse it with
  bool has_another_way;     // one refusal is not seen from outside
};

// EINVAL: a kernel or emulator without that advice. ENOSYS, EPERM: a filter of system calls.
const std::vector<kind>& kinds() {
  static const std::vector<kind> all{
      {"mmap", {ENOMEM}, false},
      {"munmap", {ENOMEM}, true},
      {"madvise", {EINVAL, ENOMEM, EAGAIN}, true},
      {"process_madvise", {ENOSYS, ENOMEM}, true},
      {"mprotect", {ENOMEM}, true},
      {"process_vm_readv", {EPERM}, true},
      {"pthread_create", {EAGAIN}, false},
      {"pthread_sigmask", {EINVAL}, true},
      {"pthread_getattr_np", {ENOMEM}, true},
      {"futex_wait", {EINTR, ENOSYS}, true},
      {"futex_wake", {ENOSYS}, false},
      {"membarrier", {EPERM, ENOMEM}, true},
      {"sched_getaffinity", {EINVAL, EPERM}, true},
      {"sigaltstack", {ENOMEM}, true},
      {"sigaction", {EPERM}, false},
      {"sem_wait", {EINTR}, true},
      {"open", {EMFILE}, true},
      {"read", {EIO, EINTR}, true},
      {"fcntl", {EMFILE}, false},
      {"epoll_create1", {EMFILE}, false},
      {"epoll_ctl", {ENOMEM}, false},
      {"epoll_wait", {EINTR, ENOSYS}, true},
      {"eventfd", {ENFILE}, false},
      {"eventfd_write", {EINTR, EBADF}, false},
      {"eventfd_read", {EAGAIN}, true},
  };
  return all;
}

using call_counts = std::map<std::string, unsigned long>;

call_counts count_calls(const std::string& call) {
  const test::child_end end = run_program({"count", call});
  CHECK(end.status == 0);
  call_counts counts;
  std::istringstream lines(end.out);
  std::string name;
  std::getline(lines, name);
  for (unsigned long n = 0; lines >> name >> n;) counts[name] = n;
  return counts;
}

bool is_report(const std::string& err) {
  for (const char* known :
       {"fatal error: out of fiber stacks: ", "fatal error: out of memory: a timer is due, ",
        "fatal error: the system refuses an OS thread, and the runtime has none that could run",
        "fatal error: the system refuses to wake a thread: futex, errno ",
        "fatal error: the poller can't go on: ", "panic: std::bad_alloc"}) {
    if (test::contains(err, known)) return true;
  }
  return false;
}

void check_end(const test::child_end& end) {
  INFO("stdout: " << end.out << "stderr: " << end.err.substr(0, 2000));
  CHECK(end.signal == 0);
  if (end.status == 2) {
    CHECK(is_report(end.err));
  } else {
    CHECK(end.status == 0);
    CHECK(end.err.empty());
  }
}

constexpr unsigned long no_end = 1'000'000'000;

void refuse(const kind& k, int error, unsigned long first, unsigned long last) {
  const words arguments{"fail", k.call, std::to_string(error), std::to_string(first),
                        std::to_string(last)};
  INFO(text_of(arguments));
  const test::child_end end = run_program(arguments);
  check_end(end);
  const bool transient = error == EINTR || error == EAGAIN;
  if (first == last && (k.has_another_way || transient) && error != EAGAIN) {
    INFO(end.err.substr(0, 2000));
    CHECK(test::count_of(end.out, "worked") == 4);
  }
}

// All numbers up to `count`, or `most` of them spread over it.
std::vector<unsigned long> some_numbers(unsigned long count, unsigned long most) {
  std::vector<unsigned long> numbers;
  for (unsigned long i = 0; i < std::min(count, most); ++i) {
    numbers.push_back(count <= most ? i + 1 : 1 + i * (count - 1) / (most - 1));
  }
  return numbers;
}

void refuse_each(unsigned long most) {
  for (const kind& k : kinds()) {
    const unsigned long count = count_calls(k.call)[k.call];
    for (const int error : k.errors) {
      for (const unsigned long n : some_numbers(count, most)) {
        refuse(k, error, n, n);
        refuse(k, error, n, no_end);
      }
    }
  }
}

}  // namespace

TEST_CASE("faults: a run makes all the calls that may be refused, and no other", "[faults][os]") {
  call_counts all;
  for (const char* call : {"mmap", "mprotect", "fcntl"}) {
    for (const auto& [name, n] : count_calls(call)) all[name] += n;
  }
  CHECK(all.size() == kinds().size() + 1);
  CHECK(all["unlisted"] == 0);
  for (const kind& k : kinds()) {
    const std::string call = k.call;
    if (call == "pthread_getattr_np" && !test::sanitized) continue;  // asked for sanitizers only
    if (call == "membarrier" && WEFT_TSAN) continue;                 // which sees fences only
    if (call == "sigaltstack" && WEFT_ASAN) continue;                // which has set its own
    INFO(call);
    CHECK(all[call] != 0);
  }
}

TEST_CASE("faults: a refused call is an error, or the work is done another way", "[faults][os]") {
  refuse_each(2);
}

TEST_CASE("faults: each refused call is an error, or the work is done another way",
          "[faults][long]") {
  refuse_each(no_end);
}

TEST_CASE("faults: a run works without membarrier and without light guards", "[faults][os]") {
  for (const char* mode : {"no_membarrier", "no_light_guards"}) {
    const test::child_end end = run_program({mode});
    check_end(end);
    CHECK(test::count_of(end.out, "worked") == 4);
  }
}

TEST_CASE("faults: at a limit of 1,000 mappings fibers wait for each other's stacks",
          "[faults][os]") {
  CHECK(run_program({"map_limit_ending"}).out == "worked\n");
}

TEST_CASE("faults: fibers that all need a stack at once, and can't have it, are reported",
          "[faults][os]") {
  const test::child_end end = run_program({"map_limit_at_once"});
  CHECK(end.status == 2);
  CHECK(end.err.rfind("fatal error: out of fiber stacks: the process is at its limit of mappings "
                      "(vm.max_map_count); waiting for a stack: ",
                      0) == 0);
}

TEST_CASE("faults: with ten threads blocking calls queue, and pinned fibers are reported",
          "[faults][os]") {
  CHECK(run_program({"thread_limit_blocking"}).out == "worked\n");
  const test::child_end end = run_program({"thread_limit_pinned"});
  CHECK(end.status == 2);
  CHECK(end.err.rfind("fatal error: the system refuses an OS thread, and the runtime has none that "
                      "could run its fibers\n",
                      0) == 0);
}

TEST_CASE("faults: little address space is an error, or enough", "[faults][os]") {
  if (test::sanitized) return;  // a sanitizer's shadow is address space too
  for (const char* mode : {"address_space", "address_space_ending"}) {
    for (const char* mib : {"1", "8", "16", "32", "64"}) {
      INFO(mode << " " << mib);
      check_end(run_program({mode, mib}));
    }
  }
  // Stacks for a few are enough where nothing else is wanted.
  CHECK(run_program({"address_space_started", "32"}).out == "worked\nworked\n");
}

TEST_CASE("faults: closed standard streams stay closed, and a report goes nowhere",
          "[faults][os]") {
  CHECK(run_program({"closed_streams"}).status == 0);
  const test::child_end end = run_program({"closed_streams_report"});
  CHECK(end.status == 2);
  CHECK(end.err.empty());
}
