// Forced unwinding on a bare fiber: what runs, what is passed over, and what is left behind.
#include "weft/arch/unwind.hpp"

#include <cxxabi.h>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/lone_fiber.hpp"
#include "weft/arch/backtrace.hpp"
#include "weft/arch/report.hpp"

namespace {

using test::lone_fiber;

struct note_end {
  std::vector<std::string>* log;
  std::string name;
  ~note_end() { log->push_back(name + " " + std::to_string(std::uncaught_exceptions())); }
};

using strings = std::vector<std::string>;

WEFT_NOINLINE void exit_from_a_depth(lone_fiber& f, strings& log, int depth) {
  const note_end here{&log, std::to_string(depth)};
  if (depth == 0) f.exit();
  if (depth > 0) exit_from_a_depth(f, log, depth - 1);
}

// Reports which function std::terminate was called in and why.
bool tell_and_end(const std::exception_ptr& exception, lone_fiber* f) {
  weft::detail::report out(1);
  out.text("active ").number(f->request().is_active() ? 1 : 0).line();
  out.text("frame ");
  if (f->request().frame() != nullptr)
    out.text(weft::detail::describe(f->request().frame()).function);
  out.line();
  void* pcs[64];
  weft::detail::print_stack(out, pcs, weft::detail::capture(pcs, 64),
                            weft::detail::names::demangled);
  if (exception != nullptr) weft::detail::describe_exception(exception, out);
  return true;
}

lone_fiber* doomed = nullptr;

void run_doomed(lone_fiber& f) {
  doomed = &f;
  weft::detail::install_terminate_handler(
      [](const std::exception_ptr& e) noexcept { return tell_and_end(e, doomed); });
  f.resume();
}

}  // namespace

namespace unwind_test {

WEFT_NOINLINE void refuses_to_unwind(lone_fiber& f) noexcept { f.exit(); }
WEFT_NOINLINE void throws_uncaught() { throw std::runtime_error("nobody catches this"); }
struct exits_in_destructor {
  lone_fiber* f;
  WEFT_NOINLINE ~exits_in_destructor() noexcept(false) {
    if (!f->has_ended()) f->exit();
  }
};

}  // namespace unwind_test

TEST_CASE("unwind: destructors run in reverse order and see an exception under way",
          "[arch][unit][SC-13][SC-19]") {
  strings log;
  bool clean = false;
  lone_fiber f([&](lone_fiber& self) { exit_from_a_depth(self, log, 2); });
  f.at_bottom = [&] {
    clean = std::uncaught_exceptions() == 0 && std::current_exception() == nullptr;
  };
  f.resume();
  CHECK(f.has_ended());
  CHECK(clean);
  CHECK_FALSE(f.request().is_active());
  CHECK(f.request().frame() == nullptr);
  CHECK(log == strings{"0 1", "1 1", "2 1"});
  CHECK(std::uncaught_exceptions() == 0);
}

TEST_CASE("unwind: typed handlers are passed over, the ABI's own is entered",
          "[arch][unit][SC-13]") {
  strings log;
  lone_fiber f([&](lone_fiber& self) {
    try {
      try {
        self.exit();
      } catch (const std::exception&) {
        log.emplace_back("std::exception");
      } catch (int) {
        log.emplace_back("int");
      }
    } catch (abi::__forced_unwind&) {
      log.emplace_back("forced");
      throw;
    }
  });
  f.resume();
  CHECK(f.has_ended());
  CHECK(log == strings{"forced"});
}

TEST_CASE("unwind: passes through rethrowing handlers while another exception is handled",
          "[arch][unit][SC-13][SC-14:unwinding]") {
  strings log;
  lone_fiber f([&](lone_fiber& self) {
    const note_end outer{&log, "outer"};
    try {
      throw std::runtime_error("handled");
    } catch (const std::runtime_error&) {
      const note_end in_handler{&log, "in handler"};
      try {
        try {
          self.exit();
        } catch (...) {
          const note_end inner{&log, "inner"};
          if (std::current_exception() == nullptr) log.emplace_back("no current exception");
          throw;
        }
      } catch (...) {
        throw;
      }
    }
  });
  bool clean = false;
  f.at_bottom = [&] {
    clean = std::uncaught_exceptions() == 0 && std::current_exception() == nullptr;
  };
  f.resume();
  CHECK(f.has_ended());
  CHECK(clean);
  CHECK(log == strings{"inner 1", "in handler 1", "outer 1"});
}

TEST_CASE("unwind: a handler that swallows it is told of, and the next one goes on",
          "[arch][unit][SC-13]") {
  strings log;
  bool active_after = true;
  lone_fiber f([&](lone_fiber& self) {
    for (int i = 0; i < 3; ++i) {
      try {
        self.exit();
      } catch (...) {
        log.push_back("swallowed " + std::to_string(std::uncaught_exceptions()));
      }
      active_after = self.request().is_active();
      self.pause();
    }
    const note_end last{&log, "last"};
    self.exit();
  });
  for (int i = 1; i <= 3; ++i) {
    f.resume();
    CHECK(f.times_swallowed() == i);
    CHECK_FALSE(active_after);
    CHECK_FALSE(f.has_ended());
  }
  f.resume();
  CHECK(f.has_ended());
  CHECK(log == strings{"swallowed 0", "swallowed 0", "swallowed 0", "last 1"});
}

TEST_CASE("unwind: destructors may pause, throw and catch, and unwind on their own account",
          "[arch][unit][SC-14:unwinding][SC-19]") {
  strings log;
  struct busy {
    lone_fiber* f;
    strings* log;
    ~busy() {
      f->pause();
      try {
        throw std::runtime_error("inside");
      } catch (const std::exception& e) {
        log->push_back(e.what() + std::to_string(std::uncaught_exceptions()));
      }
      try {
        f->exit();
      } catch (...) {
        log->emplace_back("own");
      }
      log->push_back(f->request().is_active() ? "active" : "idle");
    }
  };
  lone_fiber f([&](lone_fiber& self) {
    const busy b{&self, &log};
    self.exit();
  });
  f.resume();
  CHECK_FALSE(f.has_ended());
  CHECK(std::uncaught_exceptions() == 0);
  f.resume();
  CHECK(f.has_ended());
  CHECK(log == strings{"inside1", "own", "active"});
  CHECK(f.times_swallowed() == 0);  // the outer one was not
}

TEST_CASE("unwind: the exception may outlive its fiber and be rethrown elsewhere",
          "[arch][unit][SC-14:unwinding]") {
  std::exception_ptr kept;
  {
    lone_fiber f([&](lone_fiber& self) {
      try {
        self.exit();
      } catch (...) {
        kept = std::current_exception();
        throw;
      }
    });
    f.resume();
    CHECK(f.has_ended());
  }
  REQUIRE(kept != nullptr);
  bool is_standard = false;
  bool is_caught = false;
  try {
    std::rethrow_exception(kept);
  } catch (const std::exception&) {
    is_standard = true;
  } catch (...) {
    is_caught = true;
  }
  CHECK_FALSE(is_standard);
  CHECK(is_caught);
}

TEST_CASE("unwind: the exceptions of the side that resumed are not its affair",
          "[arch][unit][SC-16]") {
  std::string seen;
  lone_fiber f([&](lone_fiber& self) {
    if (std::current_exception() != nullptr) seen = "leaked in";
    self.exit();
  });
  try {
    throw std::runtime_error("ours");
  } catch (...) {
    f.resume();
    try {
      throw;
    } catch (const std::exception& e) {
      seen += e.what();
    }
  }
  CHECK(f.has_ended());
  CHECK(seen == "ours");
}

TEST_CASE("unwind: the stack of a fiber ends at its entry", "[arch][unit]") {
  void* pcs[64];
  std::size_t count = 0;
  lone_fiber f([&](lone_fiber&) { count = weft::detail::capture(pcs, 64); });
  f.resume();
  REQUIRE(count > 0);
  REQUIRE(count < 64);
  CHECK(weft::detail::describe(pcs[count - 1]).function.find("lone_fiber::entry") !=
        std::string::npos);
}

TEST_CASE("unwind: a noexcept frame terminates, and is named", "[arch][os][SC-14:unwinding]") {
  const test::child_end end = test::in_child([] {
    lone_fiber f([](lone_fiber& self) { unwind_test::refuses_to_unwind(self); });
    run_doomed(f);
  });
  INFO(end.out);
  CHECK(end.status == 2);
  CHECK(end.out.find("active 1") != std::string::npos);
  CHECK(end.out.find("frame unwind_test::refuses_to_unwind") != std::string::npos);
}

TEST_CASE("unwind: out of a destructor that runs for an exception terminates",
          "[arch][os][SC-14:unwinding]") {
  const test::child_end end = test::in_child([] {
    lone_fiber f([](lone_fiber& self) {
      try {
        const unwind_test::exits_in_destructor guard{&self};
        throw 1;
      } catch (int) {
        std::puts("caught");
      }
    });
    run_doomed(f);
  });
  INFO(end.out);
  CHECK(end.status == 2);
  CHECK(end.out.find("active 1") != std::string::npos);
  CHECK(end.out.find("caught") == std::string::npos);
}

TEST_CASE("unwind: an uncaught exception terminates with the throwing stack intact",
          "[arch][os][SC-17]") {
  const test::child_end end = test::in_child([] {
    lone_fiber f([](lone_fiber&) { unwind_test::throws_uncaught(); });
    run_doomed(f);
  });
  INFO(end.out);
  CHECK(end.status == 2);
  CHECK(end.out.find("active 0") != std::string::npos);
  CHECK(end.out.find("unwind_test::throws_uncaught()\n") != std::string::npos);
  CHECK(end.out.find("lone_fiber::entry") != std::string::npos);
  CHECK(end.out.find("panic: nobody catches this\n") != std::string::npos);
}
