// What the environment says: WEFT_PROCS, WEFT_SCHEDTRACE, and the processors that may be used.
#include <sched.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <stdexcept>
#include <string>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

test::child_end with_environment(const char* name, const char* value, weft::options options = {}) {
  return test::in_child([=] {
    ::setenv(name, value, 1);
    const unsigned procs = weft::run([] { return weft::procs(); }, options);
    std::printf("procs=%u\n", procs);
  });
}

}  // namespace

TEST_CASE("environment: WEFT_PROCS sets the default number of processors",
          "[runtime][unit][SC-05]") {
  for (const char* n : {"1", "3", "8"}) {
    const test::child_end end = with_environment("WEFT_PROCS", n);
    CHECK(end.status == 0);
    CHECK(end.out == std::string("procs=") + n + "\n");
  }
  weft::options two;
  two.procs = 2;
  CHECK(with_environment("WEFT_PROCS", "5", two).out == "procs=2\n");
}

TEST_CASE("environment: WEFT_PROCS that is no positive number is an error",
          "[runtime][unit][SC-05]") {
  for (const char* text : {"0", "-1", "two", "2x", "1.5", "99999999999999999999"}) {
    const test::child_end end = with_environment("WEFT_PROCS", text);
    INFO(text << ": " << end.err);
    CHECK(end.status == 2);
    CHECK(end.out.empty());
    CHECK(test::contains(end.err, "WEFT_PROCS"));
    CHECK(test::contains(end.err, text));
  }
}

TEST_CASE("environment: the default is the number of usable processors", "[runtime][os][SC-05]") {
  const test::child_end all = test::in_child([] {
    ::unsetenv("WEFT_PROCS");
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) throw std::runtime_error("affinity");
    const unsigned procs = weft::run([] { return weft::procs(); });
    // A CPU quota may make it less.
    if (procs < 1 || procs > static_cast<unsigned>(CPU_COUNT(&set)))
      throw std::runtime_error("procs " + std::to_string(procs));
  });
  INFO(all.err);
  CHECK(all.status == 0);
  const test::child_end one = test::in_child([] {
    ::unsetenv("WEFT_PROCS");
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) throw std::runtime_error("affinity");
    int first = 0;
    while (!CPU_ISSET(first, &set)) ++first;
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0) throw std::runtime_error("affinity");
    std::printf("procs=%u\n", weft::run([] { return weft::procs(); }));
  });
  INFO(one.err);
  CHECK(one.status == 0);
  CHECK(one.out == "procs=1\n");
}

TEST_CASE("environment: WEFT_SCHEDTRACE writes a line a period", "[runtime][os][SC-05]") {
  const test::child_end end = test::in_child([] {
    ::setenv("WEFT_SCHEDTRACE", "20", 1);
    weft::run([] { weft::sleep_for(300ms); }, weft::options{.procs = 2});
  });
  INFO(end.err);
  CHECK(end.status == 0);
  const std::regex line(
      "(^|\\n)SCHED [0-9]+ms:[^\\n]*procs=2[^\\n]*idle[^\\n]*spinning[^\\n]*\\[[0-9 ]+\\]");
  const auto lines = std::distance(std::sregex_iterator(end.err.begin(), end.err.end(), line),
                                   std::sregex_iterator());
  CHECK(lines >= 3);   // 300 ms are 15 periods; a loaded machine may lose most
  CHECK(lines <= 16);  // but there is never one more than a period
}

TEST_CASE("environment: without WEFT_SCHEDTRACE nothing is written", "[runtime][unit][SC-05]") {
  const test::child_end end = test::in_child([] {
    ::unsetenv("WEFT_SCHEDTRACE");
    weft::run([] { weft::sleep_for(20ms); });
  });
  CHECK(end.err.empty());
  CHECK(end.out.empty());
}
