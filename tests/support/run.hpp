// Runs a test's body as the main fiber of runtimes with 1, 2 and 4 processors, and waits for what
// other fibers and threads do without sleeping.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/record.hpp"
#include "weft/base/config.hpp"
#include "weft/debug.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

namespace test {

// So long a test waits for what must happen soon; reached only when it fails.
inline constexpr std::chrono::seconds patience{60};

// One line per fiber, for messages.
inline std::string fibers_text() {
  std::string text;
  for (const weft::debug::fiber_info& f : weft::debug::fibers(weft::debug::stacks::none))
    text += "  fiber '" + f.name + "' [" + f.state + "] created at " + f.created_at.file + ":" +
            std::to_string(f.created_at.line) + "\n";
  return text;
}

// By the main fiber: lets others run until `holds()`; fails the test when that takes too long.
template <class F>
void until(F holds, const std::string& what) {
  const auto end = weft::clock::now() + patience;
  while (!holds()) {
    if (weft::clock::now() > end) FAIL("waited in vain until " << what << "\n" << fibers_text());
    weft::yield();
  }
}

// True for a state as SC-22 names it that `wanted` names, or, when that is empty, any in which the
// fiber is parked. The time blocked and `locked to thread` may follow after a comma.
inline bool is_blocked_in(std::string_view state, std::string_view wanted) {
  const std::string_view plain = state.substr(0, state.find(','));
  if (!wanted.empty()) return plain == wanted;
  return plain != "running" && plain != "runnable" && plain != "syscall";
}

// Lets others run, from a fiber or a plain thread.
inline void relax() {
  if (weft::runtime::current() != nullptr) {
    weft::yield();
  } else {
    std::this_thread::yield();
  }
}

// How many fibers are blocked, in `state` or in any.
inline std::size_t count_blocked(std::string_view state = {}) {
  std::size_t n = 0;
  for (const weft::debug::fiber_info& f : weft::debug::fibers(weft::debug::stacks::none))
    n += is_blocked_in(f.state, state) ? 1 : 0;
  return n;
}

// By the main fiber: until `n` other fibers are blocked, in `state` or in any.
inline void until_blocked(std::size_t n, std::string_view state = {}) {
  until([=] { return count_blocked(state) >= n; },
        std::to_string(n) + " fibers are blocked in '" + std::string(state) + "'");
}

enum class kind { fiber, thread };

inline constexpr kind both_kinds[] = {kind::fiber, kind::thread};

inline const char* name_of(kind k) { return k == kind::fiber ? "fiber" : "plain thread"; }

// A function that runs in a fiber of its own or on a plain thread. The main fiber makes, watches
// and joins it.
class task {
 public:
  template <class F>
  task(kind k, F f) : state_(std::make_shared<state>()) {
    state_->k = k;
    auto body = [s = state_, f = std::move(f)]() mutable {
      if (s->k == kind::fiber) {
        s->fiber = weft::this_fiber::id();
      } else {
        s->thread = ::gettid();
      }
      s->has_started.store(true, std::memory_order_release);
      try {
        f();
      } catch (const std::exception&) {
        s->error = std::current_exception();
      }
      s->has_ended.store(true, std::memory_order_release);
    };
    if (k == kind::fiber) {
      weft::go(std::move(body));
    } else {
      thread_ = std::thread(std::move(body));
    }
  }
  task(task&&) = default;
  task& operator=(task&&) = delete;

  // A thread that is still blocked belongs to a test that has failed: nothing can end it.
  ~task() {
    if (!thread_.joinable()) return;
    if (is_done()) {
      thread_.join();
    } else {
      thread_.detach();
    }
  }

  [[nodiscard]] bool is_done() const noexcept {
    return state_->has_ended.load(std::memory_order_acquire);
  }

  // Until it is blocked: a fiber in `wanted` or any state, a thread asleep.
  void until_blocked(std::string_view wanted = {}) const {
    until([this] { return state_->has_started.load(std::memory_order_acquire); },
          "a task has started");
    if (state_->k == kind::fiber) {
      until([&] { return is_fiber_blocked(wanted); },
            "a fiber is blocked in '" + std::string(wanted) + "'");
    } else {
      // A thread may sleep for a moment in malloc; a run of looks in a row tells the difference.
      int asleep = 0;
      until(
          [&] {
            asleep = is_thread_asleep() ? asleep + 1 : 0;
            return asleep >= 50;
          },
          "a plain thread is asleep");
    }
    CHECK_FALSE(is_done());
  }

  // Until it has ended; rethrows what left its function.
  void join() {
    until([this] { return is_done(); }, std::string("a ") + name_of(state_->k) + " has ended");
    if (thread_.joinable()) thread_.join();
    if (state_->error) std::rethrow_exception(std::exchange(state_->error, nullptr));
  }

 private:
  struct state {
    kind k = kind::fiber;
    weft::fiber_id fiber;
    pid_t thread = 0;
    std::exception_ptr error;
    std::atomic<bool> has_started{false};
    std::atomic<bool> has_ended{false};
  };

  [[nodiscard]] bool is_fiber_blocked(std::string_view wanted) const {
    for (const weft::debug::fiber_info& f : weft::debug::fibers(weft::debug::stacks::none))
      if (f.id == state_->fiber) return is_blocked_in(f.state, wanted);
    return false;
  }

  [[nodiscard]] bool is_thread_asleep() const {
    std::ifstream stat("/proc/self/task/" + std::to_string(state_->thread) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(stat), {}};
    const std::size_t name_end = text.rfind(')');
    return name_end != std::string::npos && name_end + 2 < text.size() && text[name_end + 2] == 'S';
  }

  std::shared_ptr<state> state_;
  std::thread thread_;
};

// Joins all of them.
inline void join(std::vector<task>& tasks) {
  for (task& t : tasks) t.join();
}

struct run_settings {
  std::size_t leaves = 0;      // fibers that the body leaves blocked on purpose
  std::size_t stack_size = 0;  // 0: the runtime's
};

namespace detail {

inline std::size_t entries(const char* directory) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory),
                                                std::filesystem::directory_iterator()));
}

// ThreadSanitizer starts a thread of its own with the program's first one: it is not to be counted
// as one that a runtime left.
inline void start_sanitizer_thread() {
#if WEFT_TSAN
  static const bool started = [] {
    std::thread([] {}).join();
    return true;
  }();
  static_cast<void>(started);
#endif
}

// An ended thread may stay listed for a moment after it was joined.
inline void expect_entries(const char* directory, std::size_t before) {
  const auto end = weft::clock::now() + patience;
  while (entries(directory) > before && weft::clock::now() < end) std::this_thread::yield();
  INFO(directory);
  CHECK(entries(directory) <= before);
}

}  // namespace detail

// Runs `body`, which may take the number of processors, as the main fiber of one runtime after the
// other, and checks that each leaves nothing behind: no fiber, thread or descriptor.
template <class F>
void run_with_procs(F body, run_settings settings = {}) {
  detail::start_sanitizer_thread();
  for (const unsigned procs : {1U, 2U, 4U}) {
    const std::size_t threads = detail::entries("/proc/self/task");
    const std::size_t descriptors = detail::entries("/proc/self/fd");
    INFO("procs: " << procs);
    weft::options options;
    options.procs = procs;
    if (settings.stack_size != 0) options.stack_size = settings.stack_size;
    if (settings.leaves != 0) options.on_exit = weft::exit_policy::unwind;
    weft::run(
        [&] {
          if constexpr (std::invocable<F&, unsigned>) {
            body(procs);
          } else {
            body();
          }
          until([&] { return weft::num_fibers() <= 1 + settings.leaves; },
                "only the expected fibers are left");
          CHECK(weft::num_fibers() == 1 + settings.leaves);
        },
        options);
    detail::expect_entries("/proc/self/task", threads);
    detail::expect_entries("/proc/self/fd", descriptors);
  }
}

}  // namespace test
