// What other libraries and the system do to a program with fibers: libraries that want their
// thread, and processes that are started while a runtime runs.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/embedded.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

extern char** environ;

namespace {

using namespace std::chrono_literals;

// As a graphics context or a database handle: it is current for one thread, keeps its state in a
// thread-local, and refuses to work elsewhere.
class affine_library {
 public:
  affine_library() { set_current(this); }
  ~affine_library() {
    if (current() == this) set_current(nullptr);
  }
  affine_library(const affine_library&) = delete;
  affine_library& operator=(const affine_library&) = delete;

  bool draw() {
    ++calls_;
    return current() == this && test::thread_now() == thread_;
  }
  [[nodiscard]] int calls() const { return calls_; }

 private:
  WEFT_NOINLINE static affine_library* current() {
    asm volatile("" ::: "memory");
    return current_;
  }
  WEFT_NOINLINE static void set_current(affine_library* l) {
    asm volatile("" ::: "memory");
    current_ = l;
  }

  static thread_local affine_library* current_;
  std::thread::id thread_ = test::thread_now();
  int calls_ = 0;
};
thread_local affine_library* affine_library::current_ = nullptr;

// Descriptors beyond the standard ones that a program sees which is started now: none of weft's.
// Runs in a fiber or on a plain thread.
std::string start_program(const char* script) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return "no pipe";
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::execl("/bin/sh", "sh", "-c", script, nullptr);
    ::_exit(127);
  }
  ::close(out[1]);
  return weft::blocking([&] {
    std::string text;
    std::array<char, 256> block{};
    for (;;) {
      const ssize_t n = ::read(out[0], block.data(), block.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      text.append(block.data(), static_cast<std::size_t>(n));
    }
    ::close(out[0]);
    int status = -1;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return text + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  });
}

int spawn_program(const char* script) {
  const std::array<std::string, 3> words{"sh", "-c", script};
  std::array<char*, 4> arguments{};
  std::vector<std::string> kept(words.begin(), words.end());
  for (std::size_t i = 0; i < kept.size(); ++i) arguments[i] = kept[i].data();
  pid_t pid = 0;
  if (::posix_spawn(&pid, "/bin/sh", nullptr, nullptr, arguments.data(), environ) != 0) return -1;
  return weft::blocking([pid] {
    int status = -1;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  });
}

// The numbers of the descriptors that stay open over exec.
std::set<int> inherited() {
  std::set<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::atoi(entry.path().filename().c_str());
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) numbers.insert(fd);
  }
  return numbers;
}

}  // namespace

TEST_CASE("thread_pin: a library that works on its own thread only serves fibers",
          "[runtime][unit][SC-23]") {
  test::run_with_procs([] {
    const weft::chan<int> ch = weft::make_chan<int>();
    test::expectations e;
    weft::wait_group group;
    for (int f = 0; f < 4; ++f) {
      group.go([&, ch] {
        const weft::thread_pin pin;
        affine_library library;
        for (int i = 0; i < 50; ++i) {
          e.that(library.draw(), "the library's thread is the fiber's");
          if (i % 3 == 0) {
            weft::yield();
          } else {
            static_cast<void>(ch.recv());
          }
          if (i % 10 == 0) weft::sleep_for(100us);
        }
        e.that(library.calls() == 50, "every call was made");
      });
    }
    weft::go([=] {
      for (int i = 0; i < 4 * 33; ++i) ch.send(i);
    });
    group.wait();
    CHECK(e.failures() == "");
  });
}

TEST_CASE("thread_pin: such a library inside a foreign loop", "[runtime][unit][SC-23]") {
  weft::runtime rt(test::embedded(weft::exit_policy::wait));
  affine_library library;  // the loop's own
  bool right = true;
  for (int f = 0; f < 3; ++f) {
    rt.go([&] {
      const weft::thread_pin pin;
      for (int i = 0; i < 20; ++i) {
        right = right && library.draw();
        weft::yield();
      }
    });
  }
  test::run_until_idle(rt);
  CHECK(right);
  CHECK(library.calls() == 60);
}

TEST_CASE("fork: a fiber and a plain thread start programs while the runtime runs",
          "[runtime][os]") {
  test::run_with_procs([] {
    std::atomic<bool> goes_on{true};
    weft::wait_group busy;
    for (int f = 0; f < 4; ++f) {
      busy.go([&] {
        while (goes_on) weft::sleep_for(50us);
      });
    }
    test::notes<std::string> outputs;
    weft::wait_group group;
    for (int f = 0; f < 4; ++f) {
      group.go([&] {
        for (int i = 0; i < 3; ++i) outputs.add(start_program("echo here; exit 5"));
      });
    }
    std::thread plain([&] { outputs.add(start_program("echo here; exit 5")); });
    group.wait();
    weft::blocking([&] { plain.join(); });
    CHECK(outputs.all() == std::vector<std::string>(13, "here\n5"));
    CHECK(spawn_program("exit 6") == 6);
    CHECK(weft::blocking([] { return WEXITSTATUS(std::system("exit 7")); }) == 7);
    goes_on = false;
    busy.wait();
  });
}

TEST_CASE("fork: no descriptor of a runtime is left open in the program that is started",
          "[runtime][os]") {
  const std::set<int> before = inherited();
  const weft::runtime rt(weft::options{.procs = 2});
  const weft::runtime loop(test::embedded());
  CHECK(inherited() == before);
}
