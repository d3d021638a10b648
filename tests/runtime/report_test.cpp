// The report of an exception that nobody collects.
#include <atomic>
#include <cstdio>
#include <exception>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"

namespace {

struct peculiar {
  int n;
};

// Ends in a park that nothing ends: the report must come from the fiber that threw.
void wait_for_the_end() { (void)weft::make_chan<int>().recv(); }

const std::regex one_report(
    "^panic: boom[^\\n]*\\n\\nfiber [0-9]+ \\[running\\]:\\n[^]*report_test\\.cpp[^]*");

}  // namespace

TEST_CASE("report: an exception that leaves a detached fiber ends the process with status 2",
          "[runtime][unit][SC-17]") {
  for (const unsigned procs : {1U, 2U, 4U}) {
    const test::child_end end = test::in_child([procs] {
      weft::run(
          [] {
            weft::go([] { throw std::runtime_error("boom"); });
            wait_for_the_end();
          },
          weft::options{.procs = procs});
    });
    INFO(end.err);
    CHECK(end.status == 2);
    // What, an empty line, the fiber, its stack, and the site of the go.
    CHECK(std::regex_search(end.err, one_report));
  }
}

TEST_CASE("report: shows the name of the fiber that threw", "[runtime][unit][SC-17]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      weft::go(weft::fiber_options{"careless worker"}, [] { throw std::logic_error("boom"); });
      wait_for_the_end();
    });
  });
  CHECK(end.status == 2);
  CHECK(test::contains(end.err, "careless worker"));
}

TEST_CASE("report: an exception that is no std::exception shows its type",
          "[runtime][unit][SC-17]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      weft::go([] { throw peculiar{1}; });
      wait_for_the_end();
    });
  });
  CHECK(end.status == 2);
  CHECK(end.err.rfind("panic: ", 0) == 0);
  CHECK(test::contains(end.err.substr(0, end.err.find('\n')), "peculiar"));
}

TEST_CASE("report: nested exceptions have a line each, the outermost last",
          "[runtime][unit][SC-18]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      weft::go([] {
        try {
          try {
            throw std::runtime_error("innermost");
          } catch (...) {
            std::throw_with_nested(std::logic_error("between"));
          }
        } catch (...) {
          std::throw_with_nested(std::runtime_error("outermost"));
        }
      });
      wait_for_the_end();
    });
  });
  INFO(end.err);
  CHECK(end.status == 2);
  CHECK(std::regex_search(
      end.err, std::regex("^panic: innermost[^\\n]*\\n[^\\n]*between[^\\n]*\\n[^\\n]*outermost"
                          "[^\\n]*\\n\\nfiber [0-9]+ \\[running\\]:")));
}

TEST_CASE("report: the first one is whole while other fibers go on throwing",
          "[runtime][unit][SC-18]") {
  for (int round = 0; round < 10; ++round) {
    const test::child_end end = test::in_child([] {
      weft::run(
          [] {
            weft::chan<int> start = weft::make_chan<int>();
            for (int i = 0; i < 40; ++i) {
              weft::go([start, i] {
                (void)start.recv();
                throw std::runtime_error("boom " + std::to_string(i));
              });
            }
            start.close();
            wait_for_the_end();
          },
          weft::options{.procs = 4});
    });
    INFO(end.err);
    REQUIRE(end.status == 2);
    REQUIRE(std::regex_search(end.err, one_report));
  }
}

TEST_CASE("report: comes also from a fiber that lost its processor",
          "[runtime][os][SC-17][SC-11]") {
  const test::child_end end = test::in_child([] {
    weft::run(
        [] {
          std::atomic<bool> others_run{false};
          weft::go([&] { others_run = true; });
          weft::go([&] {
            // Started first by the run-next slot; the other can run only by taking the processor.
            test::spin_until_set(others_run);
            throw std::runtime_error("boom in a hog");
          });
          wait_for_the_end();
        },
        weft::options{.procs = 1});
  });
  INFO(end.err);
  CHECK(end.status == 2);
  CHECK(std::regex_search(end.err, one_report));
}

TEST_CASE("report: a join handle that dies without join ends the process",
          "[runtime][unit][SC-17]") {
  const test::child_end end = test::in_child([] {
    weft::run([] { const weft::join_handle<void> h = weft::spawn([] { throw peculiar{2}; }); });
  });
  CHECK(end.status == 2);
  CHECK(test::contains(end.err, "panic: "));
  CHECK(test::contains(end.err, "peculiar"));
}

TEST_CASE("report: a join handle that dies during unwinding prints and drops the exception",
          "[runtime][unit][SC-17]") {
  const test::child_end end = test::in_child([] {
    try {
      weft::run([] {
        const weft::join_handle<void> h =
            weft::spawn([] { throw std::runtime_error("collected by nobody"); });
        weft::yield();
        throw std::logic_error("main's own");
      });
    } catch (const std::logic_error& e) {
      std::fprintf(stderr, "[%s]\n", e.what());
    }
  });
  INFO(end.err);
  CHECK(end.status == 0);
  CHECK(test::contains(end.err, "collected by nobody"));
  CHECK(test::contains(end.err, "[main's own]"));
}

TEST_CASE("report: a detached handle's exception is that of a detached fiber",
          "[runtime][unit][SC-17]") {
  const test::child_end end = test::in_child([] {
    weft::run([] {
      weft::chan<int> gate = weft::make_chan<int>();
      weft::spawn([gate] {
        (void)gate.recv();
        throw std::runtime_error("boom after detach");
      }).detach();
      gate.close();
      wait_for_the_end();
    });
  });
  INFO(end.err);
  CHECK(end.status == 2);
  CHECK(std::regex_search(end.err, one_report));
}

TEST_CASE("report: exit_fiber from a destructor during unwinding is named",
          "[runtime][unit][SC-13]") {
  struct leaver {
    // Not inlined, and returns for all that the compiler knows: else it would drop the handler
    // above.
    WEFT_NOINLINE ~leaver() {
      if (weft::this_fiber::id() != weft::fiber_id{}) weft::exit_fiber();
    }
  };
  const test::child_end end = test::in_child([] {
    weft::run([] {
      weft::spawn([] {
        const leaver l;
        throw std::runtime_error("in flight");
      }).join();
    });
  });
  INFO(end.err);
  CHECK((end.status != 0 || end.signal != 0));
  CHECK(test::contains(end.err, "exit_fiber"));
}
