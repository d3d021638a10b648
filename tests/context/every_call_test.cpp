// Every call that takes a context and may wait: a context that is done wins, before and meanwhile.
#include <chrono>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/chan.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

using namespace std::chrono_literals;
using weft::context;
using weft::errc;

namespace {

// What the calls work on: each can be made to go ahead at once, or to wait.
struct world {
  weft::chan<int> values = weft::make_chan<int>(1);
  weft::mutex mutex;
  weft::rw_mutex rw;
  weft::mutex lock;  // of the condition
  weft::cond changed;
  bool holds = false;
  weft::wait_group wait_group;
  weft::semaphore units{1};
  weft::latch latch{1};
  weft::barrier pair{2};
  weft::chan<weft::unit> gate = weft::make_chan<weft::unit>();
  weft::singleflight<int, int> flights;

  bool has_run = false;  // a function that must not
};

struct call {
  std::string_view name;
  // True: it went ahead.
  std::function<bool(world&, const context&, std::error_code&)> reports;
  std::function<void(world&, const context&)> throws;
  // So that it can go ahead, or has to wait.
  std::function<void(world&)> open = [](world&) {};
  std::function<void(world&)> shut = [](world&) {};
  // After a call that failed: nothing has happened, and `shut` can be taken back.
  std::function<bool(world&)> is_untouched = [](world&) { return true; };
};

void throw_if(const std::error_code& ec) {
  if (ec) throw std::system_error(ec);
}

std::vector<call> all_calls() {
  std::vector<call> calls;
  calls.push_back({"send",
                   [](world& w, const context& c, auto& ec) { return w.values.send(c, 1, ec); },
                   [](world& w, const context& c) { w.values.send(c, 1); }, [](world&) {},
                   [](world& w) { w.values.send(0); },
                   [](world& w) { return w.values.try_recv() == 0 && w.values.size() == 0; }});
  calls.push_back(
      {"recv",
       [](world& w, const context& c, auto& ec) { return w.values.recv(c, ec).has_value(); },
       [](world& w, const context& c) { static_cast<void>(w.values.recv(c)); },
       [](world& w) { w.values.send(7); }, [](world&) {},
       [](world& w) { return w.values.size() <= 1; }});
  calls.push_back({"mutex::lock",
                   [](world& w, const context& c, auto& ec) { return w.mutex.lock(c, ec); },
                   [](world& w, const context& c) { w.mutex.lock(c); }, [](world&) {},
                   [](world& w) { w.mutex.lock(); },
                   [](world& w) {
                     w.mutex.unlock();
                     return w.mutex.try_lock();
                   }});
  calls.push_back(
      {"rw_mutex::lock", [](world& w, const context& c, auto& ec) { return w.rw.lock(c, ec); },
       [](world& w, const context& c) { w.rw.lock(c); }, [](world&) {},
       [](world& w) { w.rw.lock_shared(); }, [](world& w) { return w.rw.try_lock_shared(); }});
  calls.push_back({"rw_mutex::lock_shared",
                   [](world& w, const context& c, auto& ec) { return w.rw.lock_shared(c, ec); },
                   [](world& w, const context& c) { w.rw.lock_shared(c); }, [](world&) {},
                   [](world& w) { w.rw.lock(); },
                   [](world& w) {
                     w.rw.unlock();
                     return w.rw.try_lock();
                   }});
  calls.push_back({"cond::wait",
                   [](world& w, const context& c, auto& ec) {
                     const std::lock_guard held(w.lock);
                     return w.changed.wait(c, w.lock, ec);
                   },
                   [](world& w, const context& c) {
                     const std::lock_guard held(w.lock);
                     w.changed.wait(c, w.lock);
                   },
                   [](world&) {}, [](world&) {}, [](world& w) { return w.lock.try_lock(); }});
  calls.push_back({"cond::wait with a condition",
                   [](world& w, const context& c, auto& ec) {
                     const std::lock_guard held(w.lock);
                     return w.changed.wait(c, w.lock, [&w] { return w.holds; }, ec);
                   },
                   [](world& w, const context& c) {
                     const std::lock_guard held(w.lock);
                     w.changed.wait(c, w.lock, [&w] { return w.holds; });
                   },
                   [](world& w) { w.holds = true; }, [](world&) {},
                   [](world& w) { return w.lock.try_lock(); }});
  calls.push_back({"wait_group::wait",
                   [](world& w, const context& c, auto& ec) { return w.wait_group.wait(c, ec); },
                   [](world& w, const context& c) { w.wait_group.wait(c); }, [](world&) {},
                   [](world& w) { w.wait_group.add(1); }});
  calls.push_back({"semaphore::acquire",
                   [](world& w, const context& c, auto& ec) { return w.units.acquire(c, ec); },
                   [](world& w, const context& c) { w.units.acquire(c); }, [](world&) {},
                   [](world& w) { w.units.acquire(); },
                   [](world& w) {
                     w.units.release();
                     return w.units.try_acquire();
                   }});
  calls.push_back({"latch::wait",
                   [](world& w, const context& c, auto& ec) { return w.latch.wait(c, ec); },
                   [](world& w, const context& c) { w.latch.wait(c); },
                   [](world& w) { w.latch.count_down(); }});
  calls.push_back(
      {"barrier::arrive_and_wait",
       [](world& w, const context& c, auto& ec) { return w.pair.arrive_and_wait(c, ec); },
       [](world& w, const context& c) { w.pair.arrive_and_wait(c); }});
  calls.push_back({"join",
                   [](world& w, const context& c, auto& ec) {
                     auto handle = weft::spawn([gate = w.gate] { static_cast<void>(gate.recv()); });
                     const bool ended = handle.wait(c, ec);
                     w.gate.close();
                     return ended;
                   },
                   [](world& w, const context& c) {
                     auto handle = weft::spawn([gate = w.gate] { static_cast<void>(gate.recv()); });
                     std::error_code ec;
                     try {
                       handle.join(c);
                     } catch (const std::system_error& e) {
                       ec = e.code();
                     }
                     w.gate.close();
                     throw_if(ec);
                   }});
  calls.push_back({"group::wait",
                   [](world& w, const context& c, auto& ec) {
                     weft::group g;
                     g.go([gate = w.gate] { static_cast<void>(gate.recv()); });
                     const bool ended = g.wait(c, ec);
                     w.gate.close();
                     return ended;
                   },
                   [](world& w, const context& c) {
                     weft::group g;
                     g.go([gate = w.gate] { static_cast<void>(gate.recv()); });
                     std::error_code ec;
                     try {
                       g.wait(c);
                     } catch (const std::system_error& e) {
                       ec = e.code();
                     }
                     w.gate.close();
                     throw_if(ec);
                   }});
  calls.push_back({"sleep_for",
                   [](world&, const context& c, auto& ec) {
                     weft::sleep_for(c, 1h, ec);
                     return !ec;
                   },
                   [](world&, const context& c) { weft::sleep_for(c, 1h); }});
  calls.push_back(
      {"sleep_until",
       [](world&, const context& c, auto& ec) {
         weft::sleep_until(c, weft::clock::now() + 1h, ec);
         return !ec;
       },
       [](world&, const context& c) { weft::sleep_until(c, weft::clock::time_point::max()); }});
  calls.push_back(
      {"singleflight::run",
       [](world& w, const context& c, auto& ec) {
         return w.flights.run(c, 1, [&] { return (w.has_run = true) ? 1 : 0; }, ec).has_value();
       },
       [](world& w, const context& c) {
         w.flights.run(c, 1, [&] { return (w.has_run = true) ? 1 : 0; });
       },
       [](world&) {},
       [](world& w) {
         weft::go([&w] {
           w.flights.run(1, [&w] {
             static_cast<void>(w.gate.recv());
             return 5;
           });
         });
         test::until_blocked(1, "chan receive");
       },
       [](world& w) {
         if (!w.gate.is_closed()) w.gate.close();
         return !w.has_run;
       }});
  return calls;
}

}  // namespace

TEST_CASE("context: each call that may wait fails when its context was done before",
          "[context][unit][CX-22][SY-48]") {
  for (const call& c : all_calls()) {
    test::run_with_procs([&c] {
      INFO(c.name);
      auto [ctx, cancel] = weft::with_cancel({});
      cancel();
      {
        world w;
        c.open(w);
        std::error_code ec;
        CHECK_FALSE(c.reports(w, ctx, ec));
        CHECK(ec == errc::canceled);
      }
      world w;
      c.open(w);
      try {
        c.throws(w, ctx);
        FAIL("it did not throw");
      } catch (const std::system_error& e) {
        CHECK(e.code() == errc::canceled);
      }
      CHECK_FALSE(w.has_run);
    });
  }
}

TEST_CASE("context: each call that waits ends with the error of its context, and does nothing",
          "[context][unit][CX-22][SY-48]") {
  for (const call& c : all_calls()) {
    for (const test::kind k : test::both_kinds) {
      for (const bool throws : {false, true}) {
        test::run_with_procs([&c, k, throws] {
          INFO(c.name << (throws ? ", which throws" : ", which reports"));
          world w;
          c.shut(w);
          auto [ctx, cancel] = weft::with_cancel({});
          std::error_code ec;
          bool went_ahead = false;
          test::task caller(k, [&, limit = ctx] {
            if (!throws) {
              went_ahead = c.reports(w, limit, ec);
              return;
            }
            try {
              c.throws(w, limit);
              went_ahead = true;
            } catch (const std::system_error& e) {
              ec = e.code();
            }
          });
          caller.until_blocked();
          cancel(std::make_exception_ptr(std::runtime_error("the cause")));
          caller.join();
          CHECK_FALSE(went_ahead);
          CHECK(ec == errc::canceled);
          CHECK(c.is_untouched(w));
          test::until([] { return weft::num_fibers() == 1; }, "nobody uses the world any more");
        });
      }
    }
  }
}

TEST_CASE("context: each call that waits ends with its context's deadline",
          "[context][unit][CX-22][TI-29]") {
  for (const call& c : all_calls()) {
    weft::run(
        [&c] {
          INFO(c.name);
          world w;
          c.shut(w);
          const auto start = weft::clock::now();
          auto [ctx, cancel] = weft::with_timeout({}, 30ms);
          std::error_code ec;
          CHECK_FALSE(c.reports(w, ctx, ec));
          CHECK(ec == errc::deadline_exceeded);
          CHECK(ec == std::errc::timed_out);
          CHECK(weft::clock::now() - start == 30ms);
          CHECK(c.is_untouched(w));
          test::until([] { return weft::num_fibers() == 1; }, "nobody uses the world any more");
        },
        weft::options{.seed = 3});
  }
}
