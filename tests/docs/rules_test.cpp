// The right ways that docs/rules.md shows, compiled and run.
#include <fcntl.h>
#include <unistd.h>

#include <mutex>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/weft.hpp"

namespace {

// [fiber_local]
weft::fiber_local<std::string> current_request;  // one for each fiber, whatever thread it is on

void handle(std::string request, const weft::send_chan<std::string>& log) {
  current_request.get() = std::move(request);
  weft::yield();  // may come back on another thread
  log.send("done: " + *current_request);
}
// [end]

// [move]
struct message {
  std::string text;  // moves without a call into the runtime: good
};
// [end]

std::size_t depth_of(std::size_t n) { return n == 0 ? 0 : 1 + depth_of(n - 1); }

}  // namespace

TEST_CASE("rules: a fiber_local follows its fiber", "[docs][unit]") {
  test::run_with_procs([] {
    const auto log = weft::make_chan<std::string>(2);
    weft::wait_group group;
    for (const char* name : {"a", "b"}) group.go([=] { handle(name, log); });
    group.wait();
    const std::string first = log.recv().value();
    CHECK(first + *log.recv() == (first == "done: a" ? "done: adone: b" : "done: bdone: a"));
  });
}

TEST_CASE("rules: calls that block run beside the processors", "[docs][unit]") {
  test::run_with_procs([] {
    const int fd = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    char buffer[16] = {1};
    // [blocking]
    // The result of read and errno are taken inside, before anything can switch.
    const auto [n, error] = weft::blocking([&] {
      const ssize_t got = ::read(fd, buffer, sizeof buffer);
      return std::pair(got, got < 0 ? errno : 0);
    });
    // [end]
    ::close(fd);
    CHECK(n == 16);
    CHECK(error == 0);
    CHECK(buffer[0] == 0);
  });
}

TEST_CASE("rules: a lock of weft may be held over a park, a std one may not", "[docs][unit]") {
  test::run_with_procs([] {
    const auto out = weft::make_chan<int>();
    int next = 0;
    // [mutex]
    weft::mutex fiber_mutex;  // held over a send: the others park, no thread waits
    std::mutex thread_mutex;  // fine for a few instructions without any call of weft

    const auto send_next = [&] {
      const std::scoped_lock lock(fiber_mutex);
      int n = 0;
      {
        const std::scoped_lock short_lock(thread_mutex);
        n = ++next;
      }
      out.send(n);
    };
    // [end]
    weft::wait_group group;
    for (int i = 0; i < 10; ++i) group.go(send_next);
    for (int i = 1; i <= 10; ++i) CHECK(out.recv() == i);
    group.wait();
  });
}

TEST_CASE("rules: deep recursion has two ways out", "[docs][unit]") {
  test::run_with_procs([] {
    std::size_t one = 0;
    // [stack]
    // A bigger stack for one fiber: address space only, pages are committed when touched.
    auto deep =
        weft::spawn({.name = "deep", .stack_size = 8 << 20}, [] { return depth_of(10'000); });
    one = deep.join();

    // Or the OS thread's own stack, for code that does not park.
    const std::size_t other = weft::on_system_stack([] { return depth_of(10'000); });
    // [end]
    CHECK(one == 10'000);
    CHECK(other == 10'000);
  });
}

TEST_CASE("rules: a pinned fiber stays on its thread", "[docs][unit]") {
  test::run_with_procs([] {
    // [pin]
    {
      const weft::thread_pin pin;  // a library that keeps state in thread-locals: one thread for it
      const pid_t before = ::gettid();
      weft::yield();
      CHECK(::gettid() == before);
    }
    // [end]
    const auto moved = weft::make_chan<message>(1);
    moved.send({"text"});
    CHECK(moved.recv()->text == "text");
  });
}
