// The soak: rounds of random programs, one seed after the other, until the time is over or one goes
// wrong.
//
// Model       a child process plays the rounds and says which one it is at in shared memory; the
//             parent waits for it, prints the seed of a round that failed however it ended, and
//             ends a child in which nothing happens.
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <random>
#include <string_view>
#include <thread>

#include "soak/round.hpp"
#include "soak/watch.hpp"
#include "weft/base/config.hpp"
#include "weft/time.hpp"

namespace {

struct arguments {
  std::uint64_t seconds = 5;
  std::uint64_t rounds = UINT64_MAX;
  std::uint64_t seed = 0;
  std::uint64_t patience = test::sanitized ? 120 : 30;
  bool prints_digests = false;
  soak::fault fault = soak::fault::none;
};

// Written by the child, read by the parent.
struct progress {
  std::atomic<std::uint64_t> steps{0};
  std::atomic<std::uint64_t> seed{0};
};

[[noreturn]] void usage() {
  std::fputs(
      "usage: weft_soak [--seconds N] [--rounds N] [--seed N] [--patience SECONDS] [--digests]\n"
      "                 [--fault token|thread|descriptor|memory|hang|chance]\n"
      "The seed is that of the first round; each further round has the next one.\n",
      stderr);
  std::exit(2);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size()) usage();
  return n;
}

soak::fault fault_named(std::string_view name) {
  using soak::fault;
  constexpr std::pair<std::string_view, fault> names[] = {
      {"token", fault::lost_token}, {"thread", fault::thread}, {"descriptor", fault::descriptor},
      {"memory", fault::memory},    {"hang", fault::hang},     {"chance", fault::chance}};
  for (const auto& [word, f] : names)
    if (word == name) return f;
  usage();
}

arguments parse(int argc, char** argv) {
  arguments a;
  std::random_device device;
  a.seed = device() % 1'000'000'000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--digests") {
      a.prints_digests = true;
      continue;
    }
    if (++i == argc) usage();
    const std::string_view value = argv[i];
    if (option == "--seconds") {
      a.seconds = number(value);
    } else if (option == "--rounds") {
      a.rounds = number(value);
    } else if (option == "--seed") {
      a.seed = number(value);
    } else if (option == "--patience") {
      a.patience = number(value);
    } else if (option == "--fault") {
      a.fault = fault_named(value);
    } else {
      usage();
    }
  }
  return a;
}

int play_rounds(const arguments& a, progress& p) {
  // ThreadSanitizer starts a thread of its own with the program's first one.
  std::thread([] {}).join();
  soak::holdings_watch holdings;
  const auto end = weft::clock::now() + std::chrono::seconds(a.seconds);
  std::uint64_t deterministic = 0;
  std::uint64_t i = 0;
  for (; i < a.rounds && (i == 0 || weft::clock::now() < end); ++i) {
    const std::uint64_t seed = a.seed + i;
    p.seed = seed;
    ++p.steps;
    soak::result r;
    {
      std::optional<soak::watchdog> watches;
      if (!soak::is_alone(seed)) watches.emplace(p.steps, std::chrono::seconds(a.patience));
      r = soak::play_round(seed, p.steps, a.fault);
    }
    if (r.wrong.empty()) r.wrong = holdings.look();
    if (!r.wrong.empty()) {
      std::fprintf(stderr, "soak: %s\n", r.wrong.c_str());
      return 1;
    }
    if (r.is_deterministic) ++deterministic;
    if (r.is_deterministic && a.prints_digests)
      std::printf("%llu %016llx\n", static_cast<unsigned long long>(seed),
                  static_cast<unsigned long long>(r.digest));
  }
  std::printf("soak: %llu rounds, %llu of them deterministic and played twice, %llu steps\n",
              static_cast<unsigned long long>(i), static_cast<unsigned long long>(deterministic),
              static_cast<unsigned long long>(p.steps.load()));
  return 0;
}

// The child's status. One that does not even reach its watchdog's end is killed.
int wait_for(pid_t child, const arguments& a, const progress& p) {
  std::uint64_t seen = p.steps;
  auto since = weft::clock::now();
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    ::poll(nullptr, 0, 50);
    const auto now = weft::clock::now();
    if (const std::uint64_t n = p.steps; n != seen) {
      seen = n;
      since = now;
    } else if (now - since > std::chrono::seconds(a.patience) * 2) {
      std::fputs("soak: nothing happens any more; the process is ended\n", stderr);
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return status;
    }
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const arguments a = parse(argc, argv);
  void* shared =
      ::mmap(nullptr, sizeof(progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    std::perror("soak: mmap");
    return 2;
  }
  auto& p = *::new (shared) progress;
  std::printf("soak: the first seed is %llu\n", static_cast<unsigned long long>(a.seed));
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child < 0) {
    std::perror("soak: fork");
    return 2;
  }
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return play_rounds(a, p);
  }
  const int status = wait_for(child, a, p);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  if (WIFSIGNALED(status)) std::fprintf(stderr, "soak: ended by signal %d\n", WTERMSIG(status));
  std::fprintf(stderr, "soak: failed in the round of seed %llu; this repeats it:\n",
               static_cast<unsigned long long>(p.seed.load()));
  std::fprintf(stderr, "  ./dev soak 1 %llu\n", static_cast<unsigned long long>(p.seed.load()));
  return 1;
}
