// weft::check: what parks with a pthread lock held is told with both places, what is right is not.
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <locale>
#include <memory>
#include <mutex>
#include <regex>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/probe.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

// What a child says on stderr that runs `main` in a runtime.
template <class F>
test::child_end run_in_child(F main, weft::options options = {.procs = 2}) {
  return test::in_child([=] { weft::run(main, options); });
}

constexpr std::string_view parked =
    "weft: a fiber parked with a pthread lock held (std::mutex and its like); other fibers of its "
    "thread may wait for the lock and so for ever, and it may come back on another thread\n"
    "use weft::mutex, or unlock before what may park, or weft::thread_pin\n\n";

std::mutex global;

// Not inlined and no last calls: their names stand in the report.
WEFT_NOINLINE void take_the_lock(std::mutex& m) {
  m.lock();
  asm volatile("" ::: "memory");
}
WEFT_NOINLINE void receive(const weft::chan<int>& ch) {
  static_cast<void>(ch.recv());
  asm volatile("" ::: "memory");
}

// A receive with the lock held, by a fiber of its own.
void receive_locked(std::mutex& m) {
  const auto ch = weft::make_chan<int>();
  auto receiver = weft::spawn(weft::fiber_options{.name = "receiver"}, [&, ch] {
    take_the_lock(m);
    receive(ch);
    m.unlock();
  });
  while (test::count_blocked("chan receive") == 0) weft::yield();
  ch.send(1);
  receiver.join();
}

}  // namespace

TEST_CASE("check: a park with a mutex held is told with the places of both", "[check][unit]") {
  const test::child_end end = run_in_child([] { receive_locked(global); });
  CHECK(end.status == 0);
  const std::regex golden(
      std::string(std::regex_replace(std::string(parked), std::regex("[().]"), "\\$&")) +
      "fiber \\d+ \\[chan receive\\]: receiver\n"
      "created by .*receive_locked.*\n"
      "\t.*check_test\\.cpp:\\d+\n"
      "\n"
      "it left its thread at\n"
      "(?:.*\n\t.*\n)?(?:weft::.*recv.*\n\t.*\n)*.*receive\\(weft::.*chan<int> const&\\)\n"
      "\tweft_check_tests\\+0x[0-9a-f]+\n"
      "(?:[^\t\n].*\n\t.*\n)*"
      "\n"
      "it took the lock at\n"
      "(?:.*(?:std::mutex|__gthread).*\n\t.*\n)*.*take_the_lock\\(std::mutex&\\)\n"
      "\tweft_check_tests\\+0x[0-9a-f]+\n"
      "(?:[^\t\n].*\n\t.*\n)*"
      "\n");
  INFO(end.err);
  CHECK(std::regex_match(end.err, golden));
}

TEST_CASE("check: each pair of places is told once", "[check][unit]") {
  const test::child_end end = run_in_child([] {
    for (int i = 0; i < 10; ++i) receive_locked(global);
  });
  CHECK(end.status == 0);
  CHECK(test::count_of(end.err, "weft: a fiber parked") == 1);
}

TEST_CASE("check: WEFT_CHECK=abort ends the process at the first report", "[check][unit]") {
  // Read when a program starts.
  const test::child_end end = test::in_child([] {
    ::setenv("WEFT_CHECK", "abort", 1);
    ::execl("/proc/self/exe", "weft_check_tests", "check: a helper that parks with a lock",
            nullptr);
  });
  CHECK(end.signal == SIGABRT);
  CHECK(test::count_of(end.err, "weft: a fiber parked") == 1);
}

TEST_CASE("check: a helper that parks with a lock", "[.]") {
  weft::run([] { receive_locked(global); });
}

TEST_CASE("check: every kind of lock and departure is seen", "[check][unit]") {
  const auto told = [](auto main) {
    // Seeded: nobody takes the processor away in between.
    const test::child_end end = run_in_child(main, {.seed = 1});
    CHECK(end.status == 0);
    INFO(end.err);
    return test::count_of(end.err, "with a pthread lock held");
  };
  const auto depart_with = [](auto& lock, auto take) {
    return [&lock, take] {
      weft::spawn([&lock, take] {
        take(lock);
        weft::sleep_for(10us);
        lock.unlock();
      }).join();
    };
  };
  static std::recursive_mutex recursive;
  static std::timed_mutex timed;
  static std::shared_mutex shared;
  CHECK(told(depart_with(global, [](auto& m) { REQUIRE(m.try_lock()); })) == 1);
  CHECK(told(depart_with(timed, [](auto& m) { REQUIRE(m.try_lock_for(1h)); })) == 1);
  CHECK(told(depart_with(shared, [](auto& m) { m.lock(); })) == 1);
  CHECK(told(depart_with(shared, [](auto& m) { m.lock_shared(); })) == 1);
  CHECK(told([] {  // one of two locks is still held
          weft::spawn([] {
            recursive.lock();
            recursive.lock();
            recursive.unlock();
            weft::sleep_for(10us);
            recursive.unlock();
          }).join();
        }) == 1);
  CHECK(told([] {
          pthread_spinlock_t spin;
          pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
          weft::spawn([&] {
            pthread_spin_lock(&spin);
            weft::sleep_for(10us);
            pthread_spin_unlock(&spin);
          }).join();
          pthread_spin_destroy(&spin);
        }) == 1);
  CHECK(told([] {
          weft::go([] {});  // so that the yield is a switch
          const std::lock_guard held(global);
          weft::yield();
        }) == 1);
  CHECK(told([] { weft::spawn([] { global.lock(); }).join(); }) == 1);
}

TEST_CASE("check: what is right makes no report", "[check][unit]") {
  const auto quiet = [](auto main, unsigned procs) {
    const test::child_end end = run_in_child(main, {.procs = procs});
    CHECK(end.status == 0);
    CHECK(end.err == "");
  };
  // A pinned fiber comes back on its thread.
  quiet(
      [] {
        const weft::thread_pin pin;
        const std::lock_guard held(global);
        weft::sleep_for(10us);
        weft::yield();
      },
      2);
  // Locks in every fiber and in threads, never over a park; what the C++ library locks itself.
  const auto busy = [] {
    std::shared_mutex shared;
    std::condition_variable changed;
    std::once_flag once;
    int turns = 0;  // guarded by global
    std::atomic<int> firsts{0};
    weft::wait_group group;
    const auto work = [&](int who) {
      for (int i = 0; i < 50; ++i) {
        // It keeps what it calls in a thread-local, and ThreadSanitizer takes two fibers of one
        // thread for two threads.
        if (WEFT_TSAN == 0 || (i == 0 && who == -1)) std::call_once(once, [&] { ++firsts; });
        {
          const std::shared_lock read(shared);
        }
        {
          const std::scoped_lock both(global, shared);
          ++turns;
        }
        changed.notify_all();
        std::ostringstream text;
        text.imbue(std::locale(std::locale::classic(), new std::numpunct<char>));
        text << who << ' ' << 1.5 * i << '\n';
        std::vector<std::unique_ptr<std::string>> memory;
        for (int k = 0; k < 20; ++k) memory.push_back(std::make_unique<std::string>(1'000, 'x'));
        if (weft::runtime::current() != nullptr) {
          i % 2 == 0 ? weft::yield() : weft::sleep_for(1us);
        }
      }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(work, -i);
    for (int i = 0; i < 20; ++i) group.go([&, i] { work(i); });
    // The condition gives the mutex up inside the C library, and has it again when it is over.
    weft::blocking([&] {
      std::unique_lock held(global);
      changed.wait(held, [&] { return turns >= 50; });
    });
    group.wait();
    for (std::thread& t : threads) weft::blocking([&] { t.join(); });
    if (firsts != 1 || turns != 23 * 50) std::_Exit(3);
  };
  for (const unsigned procs : {1U, 2U, 4U}) quiet(busy, procs);
}
