// Runs a function in a forked child and gives its end and its output, for reports that end a
// process. No runtime may be running in the parent.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "support/catch.hpp"
#include "weft/time.hpp"

namespace test {

struct child_end {
  int status = -1;  // the exit status, or -1 when a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
};

namespace detail {

// Status of a child whose function let an exception escape.
inline constexpr int escaped = 97;

struct pipe_ends {
  int read = -1;
  int write = -1;
};

inline pipe_ends make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category());
  return {fds[0], fds[1]};
}

inline auto fault_action(int signal) {
  struct sigaction now{};
  ::sigaction(signal, nullptr, &now);
  return now.sa_sigaction;
}

// As it was before any runtime was started.
inline const auto first_fault_action = fault_action(SIGSEGV);

template <class F>
[[noreturn]] void child_main(F& f, const pipe_ends& out, const pipe_ends& err) {
  ::dup2(out.write, STDOUT_FILENO);
  ::dup2(err.write, STDERR_FILENO);
  for (const int s : {SIGABRT, SIGFPE, SIGILL, SIGTERM, SIGINT}) std::signal(s, SIG_DFL);
  // A sanitizer's handler goes; weft's stays for the life of the process, once installed.
  for (const int s : {SIGSEGV, SIGBUS}) {
    if (fault_action(s) == first_fault_action) std::signal(s, SIG_DFL);
  }
  int status = 0;
  try {
    f();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "in_child: %s\n", e.what());
    status = escaped;
  }
  std::fflush(nullptr);
  ::_exit(status);  // no destructors of the parent's objects, no second leak check
}

// Reads both pipes to their ends; false when `limit` has passed before.
inline bool drain(const pipe_ends& out, const pipe_ends& err, child_end& result,
                  std::chrono::milliseconds limit) {
  const auto end = weft::clock::now() + limit;
  std::array<pollfd, 2> open{pollfd{out.read, POLLIN, 0}, pollfd{err.read, POLLIN, 0}};
  const std::array<std::string*, 2> text{&result.out, &result.err};
  std::array<char, 4096> buffer;
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - weft::clock::now());
    if (left.count() <= 0) return false;
    if (::poll(open.data(), open.size(), static_cast<int>(left.count())) <= 0) continue;
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (open[i].fd < 0 || open[i].revents == 0) continue;
      const ssize_t n = ::read(open[i].fd, buffer.data(), buffer.size());
      if (n > 0) {
        text[i]->append(buffer.data(), static_cast<std::size_t>(n));
      } else if (n == 0 || errno != EINTR) {
        open[i].fd = -1;
      }
    }
  }
  return true;
}

}  // namespace detail

// The child is killed and the test fails when it has not ended after `limit`.
template <class F>
child_end in_child(F f, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
  std::fflush(nullptr);
  const detail::pipe_ends out = detail::make_pipe();
  const detail::pipe_ends err = detail::make_pipe();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid == 0) detail::child_main(f, out, err);
  ::close(out.write);
  ::close(err.write);
  child_end result;
  const bool ended = detail::drain(out, err, result, limit);
  ::close(out.read);
  ::close(err.read);
  if (!ended) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  INFO("child's stderr:\n" << result.err);
  if (!ended) FAIL("the child did not end in time");
  return result;
}

}  // namespace test
