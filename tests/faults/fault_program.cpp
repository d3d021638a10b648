// The program whose system calls the fault tests let fail: a run that uses a bit of everything.
//
//   fault_program count CALL                     the number of calls of each kind in a clean run,
//                                                under circumstances where CALL is among them
//   fault_program fail CALL ERRNO FIRST LAST     the FIRST to the LAST call of a kind are refused
//   fault_program LIMIT                          a run under one of the limits in main()
//
// Prints "worked" or "error: " and what the run threw, a line for each run. Status 0: whatever the
// run met, the process is as good as before: a second run without refusals works, and nothing is
// left behind by a third and fourth like the first two. Status 1: it is not, as stderr says. Weft's
// own fatal reports end it with status 2.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>
#include <weft/io.hpp>
#include <weft/weft.hpp>

#include "weft/arch/fault.hpp"

namespace {

using namespace std::chrono_literals;

// ---- the refusals

// The names that arch gives are literals: their addresses would do, were they not in many files.
constexpr std::array names{"mmap",
                           "munmap",
                           "madvise",
                           "process_madvise",
                           "mprotect",
                           "pthread_create",
                           "pthread_sigmask",
                           "pthread_getattr_np",
                           "process_vm_readv",
                           "futex_wait",
                           "futex_wake",
                           "membarrier",
                           "sched_getaffinity",
                           "sigaltstack",
                           "sigaction",
                           "sem_wait",
                           "open",
                           "read",
                           "fcntl",
                           "epoll_create1",
                           "epoll_ctl",
                           "epoll_wait",
                           "eventfd",
                           "eventfd_write",
                           "eventfd_read"};

std::array<std::atomic<unsigned long>, names.size() + 1> counts{};

std::size_t index_of(std::string_view call) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == call) return i;
  return names.size();  // one that this list does not have
}

struct refusal {
  std::size_t call = names.size() + 1;
  int error = 0;
  unsigned long first = 0;
  unsigned long last = 0;
} refused;

bool needs_protection_guards = false;  // the call is made for them only

// Makes the circumstances under which `call` is made at all.
void prepare_for(std::string_view call) {
  needs_protection_guards = call == "mprotect";
  if (call == "fcntl") ::close(STDIN_FILENO);
}

// As before Linux 6.13.
int refuse_light_guards(const char* call) noexcept {
  return std::strcmp(call, "process_madvise") == 0 || std::strcmp(call, "madvise") == 0 ? EINVAL
                                                                                        : 0;
}

int count_and_refuse(const char* call) noexcept {
  if (needs_protection_guards) {
    if (const int error = refuse_light_guards(call); error != 0) return error;
  }
  const std::size_t i = index_of(call);
  const unsigned long n = counts[i].fetch_add(1, std::memory_order_relaxed) + 1;
  return i == refused.call && n >= refused.first && n <= refused.last ? refused.error : 0;
}

void arm(weft::detail::fault_hook hook) {
  if (hook != nullptr)
    for (auto& count : counts) count.store(0, std::memory_order_relaxed);
  weft::detail::set_fault_hook_for_testing(hook);
}

// ---- the run

// As a call that takes that long.
void spend(std::chrono::nanoseconds time) {
  const auto end = weft::clock::now() + time;
  while (weft::clock::now() < end) {
  }
}

void wait_for(const weft::recv_chan<int>& ch, int n) {
  for (int i = 0; i < n; ++i) (void)ch.recv();
}

// What is captured are handles only: where something throws, the others are unwound later.
void fibers_and_channels() {
  const auto done = weft::make_chan<int>(4);
  const auto gate = weft::make_chan<int>();
  for (int i = 0; i < 80; ++i) weft::go([done, gate] { done.send(gate.recv().value_or(0)); });
  weft::go([gate] { gate.close(); });
  wait_for(done, 80);
  weft::spawn(weft::fiber_options{"large", std::size_t{1} << 20U}, [] {}).join();
  weft::spawn([] { weft::on_system_stack([] {}); }).join();
}

void timers_and_select() {
  weft::sleep_for(1ms);
  const auto never = weft::make_chan<int>();
  weft::select(weft::recv(never), weft::recv(weft::after(1ms)));
  const auto [ctx, cancel] = weft::with_timeout({}, 1ms);
  std::error_code done;
  (void)never.recv(ctx, done);
  const auto called = weft::make_chan<int>(1);
  const weft::timer t = weft::after_func(1ms, [called] { called.send(1); });
  wait_for(called, 1);
}

void threads() {
  const auto done = weft::make_chan<int>(4);
  for (int i = 0; i < 4; ++i) {
    weft::go([done] {
      weft::blocking([] { spend(2ms); });
      done.send(1);
    });
  }
  wait_for(done, 4);
  weft::spawn([] {
    const weft::thread_pin pinned;
    weft::sleep_for(1ms);
  }).join();
  const unsigned before = weft::set_procs(3);
  weft::yield();
  weft::set_procs(1);
  weft::set_procs(before);
}

// Fibers that make no runtime entry, one for each processor where the system gives the threads,
// until another fiber has run on a processor that was taken from one of them.
void hogs() {
  struct flags {
    std::atomic<unsigned> hogs{0};
    std::atomic<bool> others_run{false};
  };
  const auto shared = std::make_shared<flags>();
  const auto done = weft::make_chan<int>(4);
  const auto limit = weft::clock::now() + 300ms;
  for (unsigned i = 0; i < weft::procs(); ++i) {
    weft::go([shared, done, limit] {
      if (++shared->hogs == weft::procs()) weft::go([shared] { shared->others_run = true; });
      while (!shared->others_run && weft::clock::now() < limit) {
      }
      done.send(1);
    });
  }
  wait_for(done, static_cast<int>(weft::procs()));
}

void signals() {
  const weft::recv_chan<int> arrived = weft::notify_signals({SIGUSR1});
  ::kill(::getpid(), SIGUSR1);
  (void)arrived.recv();
}

void work() {
  weft::set_procs(2);
  fibers_and_channels();
  timers_and_select();
  threads();
  hogs();
  signals();
}

template <class F>
bool attempt(F f, unsigned procs = 0) {
  weft::options o;
  o.procs = procs;
  o.on_exit = weft::exit_policy::unwind;
  try {
    weft::run(f, o);
    std::puts("worked");
    std::fflush(stdout);
    return true;
  } catch (const std::exception& e) {
    std::printf("error: %s\n", e.what());
    std::fflush(stdout);
    return false;
  }
}

// ---- what is left

struct holdings {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::size_t mapped = 0;  // bytes of memory that is no file's and not the heap
};

std::size_t entries(const char* directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory), {}));
}

holdings survey() {
  // A thread that was joined may be listed for a moment more.
  const auto limit = weft::clock::now() + 5s;
  while (entries("/proc/self/task") > 1 && weft::clock::now() < limit) ::sched_yield();
  holdings h{entries("/proc/self/fd"), entries("/proc/self/task"), 0};
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    char permissions[5];
    unsigned long begin = 0;
    unsigned long end = 0;
    unsigned long inode = 0;
    int read = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %*x %*s %lu%n", &begin, &end, permissions, &inode,
                    &read) != 4)
      continue;
    const bool unnamed =
        line.find_first_not_of(' ', static_cast<std::size_t>(read)) == std::string::npos;
    if (inode == 0 && unnamed) h.mapped += end - begin;
  }
  return h;
}

bool grew(const char* what, std::size_t before, std::size_t after) {
  if (after <= before) return false;
  std::fprintf(stderr, "left behind: %s: %zu, now %zu\n", what, before, after);
  return true;
}

#if WEFT_ASAN || WEFT_TSAN
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

template <class F>
int examine(weft::detail::fault_hook hook, F f) {
  // Memory that can't be taken back is in the nature of these refusals.
  const bool addresses_lost =
      refused.call == index_of("munmap") || refused.call == index_of("sigaltstack");
  const holdings first = survey();
  arm(hook);
  attempt(f);
  arm(nullptr);
  if (!attempt(f)) {
    std::fputs("the run without refusals failed\n", stderr);
    return 1;
  }
  const holdings second = survey();
  arm(hook);
  attempt(f);
  arm(nullptr);
  attempt(f);
  const holdings third = survey();
  bool leaks = grew("descriptors", first.descriptors, third.descriptors);
  leaks |= grew("threads", sanitized ? second.threads : first.threads, third.threads);
  if (!sanitized && !addresses_lost)
    leaks |= grew("bytes of mappings", second.mapped, third.mapped);
  return leaks ? 1 : 0;
}

int count() {
  arm(count_and_refuse);
  const bool worked = attempt(work);
  arm(nullptr);
  for (std::size_t i = 0; i < names.size(); ++i)
    std::printf("%s %lu\n", names[i], counts[i].load(std::memory_order_relaxed));
  std::printf("unlisted %lu\n", counts[names.size()].load(std::memory_order_relaxed));
  return worked ? 0 : 1;
}

// ---- limits

int refuse_membarrier(const char* call) noexcept {
  return std::strcmp(call, "membarrier") == 0 ? EPERM : 0;
}

// As before Linux 6.13, and with vm.max_map_count at 1,000: a mapping is one, a guard makes two.
constexpr long map_limit = 1000;
std::atomic<long> mappings{0};
int limit_mappings(const char* call) noexcept {
  const bool maps = std::strcmp(call, "mmap") == 0;
  const bool protects = std::strcmp(call, "mprotect") == 0;
  if (!maps && !protects) return refuse_light_guards(call);
  const long more = maps ? 1 : 2;
  if (mappings.fetch_add(more, std::memory_order_relaxed) + more <= map_limit) return 0;
  mappings.fetch_sub(more, std::memory_order_relaxed);
  return ENOMEM;
}

// More fibers than there can be stacks, all of which end by themselves.
void many_that_end() {
  const auto done = weft::make_chan<int>(4);
  for (int i = 0; i < 3000; ++i) {
    weft::go([done] {
      weft::yield();
      done.send(1);
    });
  }
  wait_for(done, 3000);
}

// The same, but none takes a stack before all have their records: nobody else runs, and whoever is
// on the system stack yields to nobody.
void many_started_first() {
  const auto done = weft::make_chan<int>(4);
  weft::on_system_stack([&] {
    for (int i = 0; i < 3000; ++i) {
      weft::go([done] {
        weft::yield();
        done.send(1);
      });
    }
  });
  wait_for(done, 3000);
}

// More fibers than there can be stacks, each of which wants all others to run first.
void many_at_once() {
  const auto gate = weft::make_chan<int>();
  const auto done = weft::make_chan<int>(4);
  for (int i = 0; i < 3000; ++i) {
    weft::go([done, gate] {
      done.send(1);
      (void)gate.recv();
    });
  }
  wait_for(done, 3000);
  gate.close();
}

// Machines and service threads together.
constexpr int thread_limit = 10;
std::atomic<int> created{0};
int limit_threads(const char* call) noexcept {
  if (std::strcmp(call, "pthread_create") != 0) return 0;
  return created.fetch_add(1, std::memory_order_relaxed) < thread_limit ? 0 : EAGAIN;
}

void many_blocking_calls() {
  const auto done = weft::make_chan<int>(4);
  for (int i = 0; i < 40; ++i) {
    weft::go([done] {
      weft::blocking([] { spend(1ms); });
      done.send(1);
    });
  }
  wait_for(done, 40);
}

// Each wants a thread of its own, and keeps it until all have one.
void many_pinned() {
  const auto gate = weft::make_chan<int>();
  const auto done = weft::make_chan<int>(4);
  for (int i = 0; i < 40; ++i) {
    weft::go([done, gate] {
      const weft::thread_pin pinned;
      done.send(1);
      (void)gate.recv();
    });
  }
  wait_for(done, 40);
  gate.close();
}

std::size_t address_space() {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// So much more than there is now. Memory that is only reserved counts too.
void limit_address_space(std::size_t more) {
  const rlimit limit{address_space() + more, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_AS, &limit) != 0) std::abort();
}

void lift_address_space_limit() {
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_AS, &none) != 0) std::abort();
}

template <class F>
int in_address_space(std::size_t more, F f, unsigned procs = 0) {
  limit_address_space(more);
  attempt(f, procs);
  lift_address_space_limit();
  return attempt(f, procs) ? 0 : 1;
}

// A deadlock, so that there is a report, with the standard streams closed from before the start.
// What a later open gets in their places must stay empty.
int closed_streams(const char* file) {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
  weft::options o;
  o.procs = 2;
  weft::run(
      [file] {
        work();
        // Those that the streams had are free again: weft has taken none of them.
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
          if (::fcntl(fd, F_GETFD) != -1) ::_exit(1);
        }
        if (file != nullptr) {
          (void)weft::make_chan<int>().recv();
        }
      },
      o);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  const std::string_view mode = words.empty() ? "" : words[0];
  if (mode == "count" && words.size() == 2) {
    prepare_for(words[1]);
    return count();
  }
  if (mode == "fail" && words.size() == 5) {
    prepare_for(words[1]);
    refused = {index_of(words[1]), std::atoi(argv[3]), std::strtoul(argv[4], nullptr, 10),
               std::strtoul(argv[5], nullptr, 10)};
    return examine(count_and_refuse, work);
  }
  if (mode == "no_membarrier") return examine(refuse_membarrier, work);
  if (mode == "no_light_guards") return examine(refuse_light_guards, work);
  if (mode == "map_limit_ending") {
    arm(limit_mappings);
    return attempt(many_that_end) ? 0 : 1;
  }
  if (mode == "map_limit_at_once") {
    arm(limit_mappings);
    return attempt(many_at_once) ? 0 : 1;
  }
  if (mode == "thread_limit_blocking") {
    arm(limit_threads);
    return attempt(many_blocking_calls) ? 0 : 1;
  }
  if (mode == "thread_limit_pinned") {
    arm(limit_threads);
    return attempt(many_pinned) ? 0 : 1;
  }
  constexpr std::size_t mib = std::size_t{1} << 20U;
  if (mode == "address_space")
    return in_address_space(std::strtoul(argv[2], nullptr, 10) * mib, work);
  if (mode == "address_space_ending")
    return in_address_space(std::strtoul(argv[2], nullptr, 10) * mib, many_that_end);
  if (mode == "address_space_started")
    return in_address_space(std::strtoul(argv[2], nullptr, 10) * mib, many_started_first, 1);
  if (mode == "closed_streams") return closed_streams(nullptr);
  if (mode == "closed_streams_report") return closed_streams("");
  std::fputs("fault_program: unknown mode\n", stderr);
  return 1;
}
