// Reports: what is written, that nothing stops them, and that a process prints one.
#include "weft/arch/report.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"

namespace {

using weft::detail::report;

void append(void* to, const char* text, std::size_t size) {
  static_cast<std::string*>(to)->append(text, size);
}

template <class F>
std::string written(F&& f) {
  std::string text;
  {
    report out(append, &text);
    f(out);
  }
  return text;
}

std::string described(const std::exception_ptr& e) {
  return written([&](report& out) { weft::detail::describe_exception(e, out); });
}

void throws() { throw std::runtime_error("ours"); }
void refuses(void (*f)()) noexcept { f(); }

struct odd_thing {
  int value;
};

}  // namespace

TEST_CASE("report: numbers, addresses and lines", "[arch][unit]") {
  CHECK(written([](report& out) { out.text("a").line("b").line().number(7); }) == "ab\n\n7");
  CHECK(written([](report& out) {
          out.number(std::numeric_limits<std::int64_t>::min());
          out.text(" ").number(std::numeric_limits<std::uint64_t>::max());
        }) == "-9223372036854775808 18446744073709551615");
  CHECK(written([](report& out) { out.hex(0x1f).text(" ").address(nullptr); }) == "0x1f 0x0");
  CHECK(written([](report& out) { out.indented("one\ntwo\n"); }) == "one\n\ttwo\n\t");
}

TEST_CASE("report: a text longer than its buffer arrives whole", "[arch][unit]") {
  std::string expected;
  for (int i = 0; i < 1000; ++i) expected += std::to_string(i) + ",";
  CHECK(written([&](report& out) { out.text(expected); }) == expected);
  CHECK(written([&](report& out) {
          for (int i = 0; i < 1000; ++i) out.number(i).text(",");
        }) == expected);
}

TEST_CASE("report: waits for a full pipe whose writes don't block", "[arch][os]") {
  const std::string expected(300'000, 'x');
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  REQUIRE(::fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
  std::string read;
  std::thread reader([&] {
    std::array<char, 4096> piece;
    ssize_t n;
    while ((n = ::read(ends[0], piece.data(), piece.size())) > 0)
      read.append(piece.data(), static_cast<std::size_t>(n));
  });
  report(ends[1]).text(expected);
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
  CHECK(read == expected);
}

TEST_CASE("report: a closed descriptor or a broken pipe is ignored", "[arch][os][SC-18]") {
  const test::child_end end = test::in_child([] {
    std::signal(SIGPIPE, SIG_DFL);
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) weft::detail::end_process(70);
    ::close(ends[0]);
    errno = 5;
    report(ends[1]).line("to nobody");
    if (errno != 5) weft::detail::end_process(71);
    ::close(ends[1]);
    report(ends[1]).line("to nothing");
    sigset_t pending;
    sigpending(&pending);
    weft::detail::end_process(sigismember(&pending, SIGPIPE) == 1 ? 72 : 3);
  });
  CHECK(end.status == 3);
  CHECK(end.signal == 0);
}

TEST_CASE("report: of several fatal ones at once the first is printed whole", "[arch][os][SC-18]") {
  const test::child_end end = test::in_child([] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([i] {
        if (!weft::detail::begin_fatal_report()) weft::detail::end_process(70);
        report out;
        for (int n = 0; n < 1000; ++n) out.text("reporter ").number(i).line();
        out.flush();
        weft::detail::end_process(2);
      });
    }
    for (std::thread& t : threads) t.join();
  });
  CHECK(end.status == 2);
  REQUIRE(end.err.size() > 11);
  const std::string line = end.err.substr(0, end.err.find('\n') + 1);
  std::string expected;
  for (int n = 0; n < 1000; ++n) expected += line;
  CHECK(end.err == expected);
}

TEST_CASE("report: a failure inside a fatal report does not wait for itself", "[arch][os]") {
  const test::child_end end = test::in_child([] {
    const bool first = weft::detail::begin_fatal_report();
    const bool second = weft::detail::begin_fatal_report();
    weft::detail::end_process(first && !second ? 3 : 70);
  });
  CHECK(end.status == 3);
}

TEST_CASE("report: a broken invariant prints the dump and aborts", "[arch][os]") {
  const test::child_end end = test::in_child([] {
    weft::detail::set_dump_hook([](report& out) noexcept { out.line("the fibers"); });
    weft::detail::fatal_invariant("run_queue: I1");
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.err == "fatal error: weft: run_queue: I1\n\nthe fibers\n");
}

TEST_CASE("report: an invariant that breaks in the dump still aborts", "[arch][os]") {
  const test::child_end end = test::in_child([] {
    weft::detail::set_dump_hook(
        [](report&) noexcept { weft::detail::fatal_invariant("dump: again"); });
    weft::detail::fatal_invariant("run_queue: I1");
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.err == "fatal error: weft: run_queue: I1\n");
}

TEST_CASE("report: an exception is described by its text, or by its type", "[arch][unit][SC-17]") {
  CHECK(described(std::make_exception_ptr(std::runtime_error("boom"))) == "panic: boom\n");
  CHECK(described(std::make_exception_ptr(std::runtime_error("one\ntwo"))) ==
        "panic: one\n\ttwo\n");
  CHECK(described(std::make_exception_ptr(42)) == "panic: int\n");
  CHECK(described(std::make_exception_ptr(odd_thing{1})).find("odd_thing\n") != std::string::npos);
  CHECK(described(nullptr) == "panic: terminated without an exception\n");
}

TEST_CASE("report: nested exceptions take a line each, the outermost last", "[arch][unit][SC-18]") {
  std::exception_ptr e;
  try {
    try {
      try {
        throw odd_thing{1};
      } catch (...) {
        std::throw_with_nested(std::runtime_error("middle"));
      }
    } catch (...) {
      std::throw_with_nested(std::logic_error("outermost"));
    }
  } catch (...) {
    e = std::current_exception();
  }
  const std::string text = described(e);
  INFO(text);
  CHECK(text.starts_with("panic: "));
  CHECK(text.find("odd_thing\n\tpanic: middle\n\tpanic: outermost\n") != std::string::npos);

  try {
    try {
      throw std::runtime_error("inner");
    } catch (...) {
      std::throw_with_nested(odd_thing{2});
    }
  } catch (...) {
    e = std::current_exception();
  }
  const std::string other = described(e);
  INFO(other);
  CHECK(other.starts_with("panic: inner\n\tpanic: "));
  CHECK(other.ends_with("odd_thing\n"));
  CHECK(other.find("_Nested") == std::string::npos);
}

TEST_CASE("report: nesting without end is cut", "[arch][unit][SC-18]") {
  std::exception_ptr e = std::make_exception_ptr(std::runtime_error("0"));
  for (int i = 1; i < 100; ++i) {
    try {
      try {
        std::rethrow_exception(e);
      } catch (...) {
        std::throw_with_nested(std::runtime_error(std::to_string(i)));
      }
    } catch (...) {
      e = std::current_exception();
    }
  }
  const std::string text = described(e);
  CHECK(text.starts_with("panic: (more levels inside)\n\tpanic: 36\n"));
  CHECK(text.ends_with("\tpanic: 99\n"));
}

TEST_CASE("report: std::terminate goes to the hook, and past it to the handler before",
          "[arch][os][SC-17]") {
  const test::child_end ours = test::in_child([] {
    weft::detail::install_terminate_handler([](const std::exception_ptr& e) noexcept {
      report out;
      weft::detail::describe_exception(e, out);
      return true;
    });
    refuses(&throws);
  });
  CHECK(ours.status == 2);
  CHECK(ours.err == "panic: ours\n");

  const test::child_end theirs = test::in_child([] {
    std::set_terminate([] { weft::detail::end_process(5); });
    weft::detail::install_terminate_handler(
        [](const std::exception_ptr&) noexcept { return true; });
    weft::detail::install_terminate_handler([](const std::exception_ptr& e) noexcept {
      if (e != nullptr) weft::detail::end_process(70);
      return false;
    });
    std::terminate();
  });
  CHECK(theirs.status == 5);
}
