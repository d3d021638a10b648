// Fibers at work while a profiler looks at their stacks, many thousand times, at any instruction.
//
// The handler does what samplers do: one walk along the frame pointers, as perf and gperftools do,
// and one by the unwinder. With the argument `stop` the program calls stop_here() in a fiber and
// ends: for a debugger.
#include <dirent.h>
#include <execinfo.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <weft/weft.hpp>

namespace {

std::atomic<long> samples{0};
std::atomic<long> whole_stacks{0};
std::atomic<bool> at_work{true};

// Ends where a saved frame pointer is null, or no address of a frame above.
void walk_frame_pointers(const ucontext_t& where) {
#if defined(__x86_64__)
  auto frame = static_cast<std::uintptr_t>(where.uc_mcontext.gregs[REG_RBP]);
  auto least = static_cast<std::uintptr_t>(where.uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
  auto frame = static_cast<std::uintptr_t>(where.uc_mcontext.regs[29]);
  auto least = static_cast<std::uintptr_t>(where.uc_mcontext.sp);
#endif
  constexpr std::uintptr_t largest_frame = 100'000;
  for (int depth = 0; frame >= least && frame - least < largest_frame && frame % 8 == 0; ++depth) {
    least = frame + 1;
    frame = *reinterpret_cast<const std::uintptr_t*>(frame);
    if (frame == 0 && depth > 2) ++whole_stacks;
  }
}

void on_sample(int, siginfo_t*, void* where) {
  walk_frame_pointers(*static_cast<const ucontext_t*>(where));
  void* frames[64];
  static_cast<void>(backtrace(frames, 64));
  ++samples;
}

constexpr long enough_samples = 5'000;
constexpr long enough_whole = 20;
constexpr long most_samples = 200'000;
bool goes_on() {
  if (samples < enough_samples) return true;
  return whole_stacks < enough_whole && samples < most_samples;
}

// Signals all threads of the process but its own, again and again.
void sample_all_threads() {
  const pid_t process = getpid();
  const auto own = static_cast<pid_t>(syscall(SYS_gettid));
  while (goes_on()) {
    DIR* threads = opendir("/proc/self/task");
    while (const dirent* entry = readdir(threads)) {
      const auto thread = static_cast<pid_t>(std::atoi(entry->d_name));
      if (thread != 0 && thread != own) syscall(SYS_tgkill, process, thread, SIGPROF);
    }
    closedir(threads);
  }
  at_work = false;
}

[[gnu::noinline]] void stop_here() { asm volatile("" ::: "memory"); }

[[gnu::noinline]] int depth(int n) {
  if (n == 0) {
    stop_here();
    return 1;
  }
  const int below = depth(n - 1);
  asm volatile("" ::: "memory");
  return below + 1;
}

// Switches, wakes, and works at some depth.
void work() {
  auto to = weft::make_chan<int>();
  auto from = weft::make_chan<int>();
  for (int i = 0; i < 4; ++i) {
    weft::go([=] {
      while (auto n = to.recv()) from.send(depth(*n));
    });
  }
  for (int n = 0; at_work; n = (n + 1) % 40) {
    weft::spawn([n] { return depth(n); }).join();
    for (int i = 0; i < 4; ++i) to.send(n);
    for (int i = 0; i < 4; ++i) static_cast<void>(from.recv());
  }
  to.close();
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2 && std::string_view(arguments[1]) == "stop") {
    weft::run([] { weft::spawn([] { return depth(3); }).join(); });
    return 0;
  }
  void* first[1];
  static_cast<void>(backtrace(first, 1));  // loads the unwinder, which a handler must not do
  struct sigaction action{};
  action.sa_sigaction = on_sample;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGPROF, &action, nullptr);
  weft::run(
      [] {
        std::thread profiler(sample_all_threads);
        weft::wait_group all;
        for (int i = 0; i < 2; ++i) all.go(work);
        all.wait();
        profiler.join();
      },
      {.procs = 2});
  std::printf("%s: %ld samples, %ld whole stacks\n",
              whole_stacks >= enough_whole ? "sampled" : "too few", samples.load(),
              whole_stacks.load());
}
