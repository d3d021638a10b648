// Fibers that make no runtime entry: their processor is taken away, they go on undisturbed.
//
// No test here needs a time to pass to be right: a hog spins until another fiber sets its flag,
// which with one processor only a take-away lets it do. Upper bounds are those of SC-11.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/probe.hpp"
#include "support/record.hpp"
#include "support/run.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/fence.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/machine.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

const weft::options one_processor{.procs = 1};

std::atomic<int> refused_fences{0};

// As by a filter of system calls that a program gives itself once it has started.
int refuse_membarrier(const char* call) noexcept {
  if (std::strcmp(call, "membarrier") != 0) return 0;
  ++refused_fences;
  return EPERM;
}

}  // namespace

TEST_CASE("hog: after membarrier was refused it loses its processor if it has been asked since",
          "[sched][os][SC-11]") {
  const test::child_end end = test::in_child([] {  // the refusal is remembered for the process
    weft::run(
        [] {
          if (weft::detail::fence_needs_instruction.load(weft::detail::relaxed)) return;
          weft::detail::set_fault_hook_for_testing(refuse_membarrier);
          std::atomic<bool> others_run{false};
          weft::go([&] { others_run = true; });
          // Nothing is known of this one: it keeps its processor for as long as it makes no entry.
          while (refused_fences == 0) {
          }
          test::spin_for(20ms);
          if (others_run) std::puts("taken from one that may not see it");
          test::until([&] { return others_run.load(); }, "the other fiber has run");
          // It is asked while it spins, and answers when it yields.
          test::until(
              [] {
                test::spin_for(1ms);
                return weft::detail::current_machine()->passes_full_fences.load(
                    weft::detail::acquire);
              },
              "its machine has answered");
          for (int round = 0; round < 3; ++round) {
            others_run = false;
            weft::go([&] { others_run = true; });
            if (!test::spin_until_set(others_run)) std::puts("never taken again");
            weft::yield();
          }
        },
        one_processor);
  });
  CHECK(end.status == 0);
  CHECK(end.out.empty());
}

TEST_CASE("hog: the others run within 50 ms", "[sched][os][SC-11]") {
  for (const unsigned procs : {1U, 2U}) {
    weft::run(
        [procs] {
          std::vector<weft::clock::duration> took;
          for (int round = 0; round < 20; ++round) {
            std::atomic<bool> release{false};
            std::atomic<unsigned> hogging{0};
            std::vector<weft::join_handle<bool>> hogs;
            for (unsigned i = 0; i < procs; ++i) {
              hogs.push_back(weft::spawn([&] {
                ++hogging;
                return test::spin_until_set(release);
              }));
            }
            // The main fiber waits its turn in a yield: the hogs hold every processor.
            weft::clock::time_point start = weft::clock::now();
            while (hogging < procs) {
              start = weft::clock::now();
              weft::yield();
            }
            took.push_back(weft::clock::now() - start);
            release = true;
            for (weft::join_handle<bool>& h : hogs) REQUIRE(h.join());
          }
          std::sort(took.begin(), took.end());
          CHECK(took[took.size() / 2] < 50ms);
          CHECK(took.back() < 10 * 50ms + 100ms);
        },
        weft::options{.procs = procs});
  }
}

TEST_CASE("hog: a due timer, a plain thread and a new fiber all get the processor",
          "[sched][os][SC-11]") {
  weft::run(
      [] {
        std::atomic<bool> by_timer{false};
        std::atomic<bool> by_thread{false};
        std::atomic<bool> by_fiber{false};
        weft::chan<int> ch = weft::make_chan<int>();
        const auto hog_until = [](std::atomic<bool>& flag) {
          return weft::spawn([&flag] { return test::spin_until_set(flag); }).join();
        };
        weft::go([&] {
          weft::sleep_for(5ms);
          by_timer = true;
        });
        CHECK(hog_until(by_timer));  // nothing is runnable when the hog starts, only a timer set
        weft::go([&, ch] {
          (void)ch.recv();
          by_thread = true;
        });
        std::thread sender([ch] { ch.send(1); });
        CHECK(hog_until(by_thread));
        sender.join();
        weft::go([&] { by_fiber = true; });
        CHECK(hog_until(by_fiber));
      },
      one_processor);
}

TEST_CASE("hog: goes on on its own thread and joins in again at its next entry",
          "[sched][os][SC-11]") {
  weft::run(
      [] {
        for (int round = 0; round < 10; ++round) {
          std::atomic<bool> others_run{false};
          std::atomic<int> steps{0};
          bool same_thread = false;
          weft::chan<int> ch = weft::make_chan<int>();
          weft::go([&] { others_run = true; });  // behind the hog, which is started later
          weft::join_handle<bool> hog = weft::spawn([&, ch] {
            const std::thread::id before = test::thread_now();
            const bool set = test::spin_until_set(others_run);
            same_thread = test::thread_now() == before;
            // It has no processor now. Each of these is a runtime entry of another kind.
            ch.send(round);
            weft::yield();
            weft::spawn([&] { ++steps; }).join();
            weft::sleep_for(100us);
            return set;
          });
          CHECK(ch.recv() == std::optional<int>(round));
          REQUIRE(hog.join());
          CHECK(same_thread);
          CHECK(steps == 1);
        }
      },
      one_processor);
}

TEST_CASE("hog: every kind of first entry after the loss finds a processor again",
          "[sched][os][SC-11]") {
  weft::run(
      [] {
        weft::mutex mutex;
        weft::semaphore permits(100);
        weft::wait_group group;
        weft::chan<int> buffered = weft::make_chan<int>(100);
        const auto lose_and = [&](auto entry) {
          weft::join_handle<bool> hog = weft::spawn([&] {
            std::atomic<bool> others_run{false};
            weft::join_handle<void> other = weft::spawn([&] { others_run = true; });
            const bool is_set = test::spin_until_set(others_run);
            entry();
            other.join();
            return is_set;
          });
          CHECK(hog.join());
        };
        std::atomic<int> ran{0};
        lose_and([&] { weft::go([&] { ++ran; }); });
        lose_and([&] { buffered.send(1); });
        lose_and([&] { (void)buffered.try_recv(); });
        lose_and([&] {
          mutex.lock();
          mutex.unlock();
        });
        lose_and([&] { permits.acquire(); });
        lose_and([&] {
          group.add();
          group.done();
        });
        lose_and([&] { weft::make_chan<int>(3).close(); });
        lose_and([&] { weft::select(weft::recv(buffered), weft::otherwise()); });
        lose_and([&] { weft::timer(1h).stop(); });
        lose_and([&] { ran += weft::blocking([] { return 1; }); });
        lose_and([&] { ran += weft::on_system_stack([] { return 1; }); });
        lose_and([&] { const weft::thread_pin pin; });
        lose_and([&] { weft::set_procs(1); });
        lose_and([&] { (void)weft::num_fibers(); });
        lose_and([&] { weft::this_fiber::set_name("was a hog"); });
        lose_and([&] { (void)weft::debug::fibers(); });
        lose_and([] {});  // it ends without any
        weft::yield();
        test::until([&] { return ran == 3; }, "what the hogs started has run");
      },
      one_processor);
}

TEST_CASE("hog: ends by return, exception and exit_fiber without a processor",
          "[sched][os][SC-11]") {
  weft::run(
      [] {
        std::atomic<bool> flag{false};
        const auto spin = [&] { test::spin_until_set(flag); };
        const auto release = [&] {
          flag = false;
          weft::go([&] { flag = true; });
        };
        release();
        weft::spawn(spin).join();
        release();
        CHECK_THROWS_AS(weft::spawn([&] {
                          spin();
                          throw std::runtime_error("hog");
                        }).join(),
                        std::runtime_error);
        release();
        CHECK_THROWS_AS(weft::spawn([&] {
                          spin();
                          weft::exit_fiber();
                        }).join(),
                        std::system_error);
        CHECK(weft::num_fibers() == 1);
      },
      one_processor);
}

TEST_CASE("hog: many, one after the other and at once, all come to their ends",
          "[sched][os][SC-11]") {
  test::run_with_procs([] {
    for (int round = 0; round < 3; ++round) {
      std::atomic<bool> release{false};
      std::vector<weft::join_handle<bool>> hogs;
      for (int i = 0; i < 3; ++i)
        hogs.push_back(weft::spawn([&] { return test::spin_until_set(release); }));
      for (int i = 0; i < 5; ++i) weft::spawn([] { weft::yield(); }).join();
      release = true;
      for (weft::join_handle<bool>& h : hogs) REQUIRE(h.join());
    }
  });
}

TEST_CASE("hog: at most four times as many as processors run without one",
          "[sched][os][SC-11][SC-05]") {
  for (const unsigned procs : {1U, 2U}) {
    INFO("procs: " << procs);
    weft::runtime rt(weft::options{.procs = procs});
    const unsigned most = procs + 4 * procs;  // with a processor, and without
    std::atomic<unsigned> started{0};
    std::atomic<bool> release{false};
    test::tally ended;
    for (unsigned i = 0; i < most + 6; ++i) {
      rt.go([&] {
        ++started;
        test::spin_until_set(release);
        ended.add();
      });
    }
    // This plain thread watches; every fiber of the runtime is a hog or waits behind one.
    CHECK(test::eventually([&] { return started == most; }));
    // Twice the time within which the others would run if a processor were taken once more.
    test::spin_for(100ms);
    CHECK(started == most);
    CHECK(test::contains(test::dump_text(), "hog"));
    release = true;
    CHECK(test::eventually([&] { return ended.count() == static_cast<long>(most) + 6; }));
    rt.block_on([] { weft::yield(); });
  }
}

TEST_CASE("hog: locks and channels that it uses between its turns stay whole",
          "[sched][os][SC-11]") {
  test::run_with_procs([] {
    weft::mutex mutex;
    long counter = 0;  // guarded by mutex
    std::vector<weft::join_handle<void>> fibers;
    for (int i = 0; i < 6; ++i) {
      fibers.push_back(weft::spawn([&] {
        for (int k = 0; k < 6; ++k) {
          mutex.lock();
          const long before = counter;
          test::spin_for(3ms);  // long enough to lose the processor with the lock held
          counter = before + 1;
          mutex.unlock();
        }
      }));
    }
    for (weft::join_handle<void>& f : fibers) f.join();
    CHECK(counter == 36);
  });
}
