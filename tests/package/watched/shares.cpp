// Fibers and threads that share plain data by every means weft has: clean under every sanitizer.
//
// Each part hands data over by one means only, so a hand-over that a sanitizer does not see is
// reported as a race. With the name of a mistake as its argument the program makes that mistake in
// a fiber: a sanitizer has to find it there.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>
#include <weft/weft.hpp>

namespace {

using namespace std::chrono_literals;

constexpr int rounds = 300;

// What is handed over: on the heap, with accesses of the program's own code on both sides.
using parcel = std::unique_ptr<std::string>;
parcel pack(int n) { return std::make_unique<std::string>(static_cast<std::size_t>(n % 60), 'x'); }

std::size_t total(const std::vector<int>& values) {
  std::size_t sum = 0;
  for (int value : values) sum += static_cast<std::size_t>(value);
  return sum;
}

std::size_t by_channels(std::size_t capacity) {
  auto parcels = weft::make_chan<parcel>(capacity);
  auto sums = weft::make_chan<std::size_t>();
  for (int i = 0; i < 4; ++i) {
    weft::go([=] {
      for (int n = 0; n < rounds; ++n) parcels.send(pack(n));
      parcels.send(nullptr);
    });
    weft::go([=] {
      std::size_t sum = 0;
      while (auto p = parcels.recv()) {
        if (*p == nullptr) break;
        sum += (*p)->size();
      }
      sums.send(sum);
    });
  }
  std::size_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += sums.recv().value_or(0);
  return sum;
}

std::size_t by_close() {
  std::vector<int> values(8);
  auto written = weft::make_chan<int>();
  auto read = weft::make_chan<std::size_t>(4);
  for (int i = 0; i < 4; ++i) {
    weft::go([&] {
      static_cast<void>(written.recv());
      read.send(total(values));
    });
  }
  values.assign(8, 1);
  written.close();
  std::size_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += *read.recv();
  return sum;
}

std::size_t by_select() {
  auto left = weft::make_chan<parcel>();
  auto right = weft::make_chan<parcel>(2);
  auto end = weft::make_chan<int>();
  auto ended = weft::make_chan<int>();
  for (auto& to : {left, right}) {
    weft::go([=] {
      for (int n = 0; n < rounds; ++n) {
        weft::select(weft::send(to, pack(n), [] {}));
      }
      ended.send(0);
    });
  }
  weft::go([=] {
    static_cast<void>(ended.recv());
    static_cast<void>(ended.recv());
    end.close();
  });
  std::size_t sum = 0;
  bool goes_on = true;
  while (goes_on) {
    weft::select(weft::recv(left, [&](parcel p) { sum += p->size(); }),
                 weft::recv(right, [&](parcel p) { sum += p->size(); }),
                 weft::recv(end, [&] { goes_on = false; }));
  }
  return sum;
}

// `Lock` guards a plain vector; some readers share it where the lock can be shared.
template <class Lock>
std::size_t by_lock() {
  Lock lock;
  std::vector<int> values;
  weft::wait_group all;
  for (int i = 0; i < 8; ++i) {
    all.go([&, i] {
      for (int n = 0; n < rounds; ++n) {
        {
          std::lock_guard held(lock);
          values.push_back(1);
        }
        if constexpr (requires { lock.lock_shared(); }) {
          std::shared_lock held(lock);
          if (values.empty()) std::abort();
        }
        if (n % 16 == i) weft::yield();
      }
    });
  }
  all.wait();
  return total(values);
}

std::size_t by_cond() {
  weft::mutex lock;
  weft::cond changed;
  std::vector<int> values;
  weft::go([&] {
    for (int n = 0; n < rounds; ++n) {
      std::lock_guard held(lock);
      values.push_back(1);
      changed.signal();
    }
  });
  std::unique_lock held(lock);
  changed.wait(held, [&] { return values.size() == rounds; });
  return total(values);
}

// A semaphore as the only guard.
std::size_t by_semaphore() {
  weft::semaphore one(1);
  std::vector<int> values;
  std::vector<weft::join_handle<void>> fibers;
  for (int i = 0; i < 4; ++i) {
    fibers.push_back(weft::spawn([&] {
      for (int n = 0; n < rounds; ++n) {
        one.acquire();
        values.push_back(1);
        one.release();
      }
    }));
  }
  for (auto& fiber : fibers) fiber.join();
  return total(values);
}

std::size_t by_once_and_gates() {
  std::size_t sum = 0;
  for (int n = 0; n < rounds / 4; ++n) {
    weft::once first;
    std::vector<int> values(4);
    std::string made;
    weft::latch all_wrote(4);
    weft::barrier phase(4);
    weft::wait_group all;
    for (std::size_t i = 0; i < 4; ++i) {
      all.go([&, i] {
        first.call([&] { made = "made by whoever came first"; });
        values[i] = made.empty() ? 0 : 1;
        phase.arrive_and_wait();
        if (total(values) != 4) std::abort();
        all_wrote.count_down();
      });
    }
    all_wrote.wait();
    sum += total(values);
    all.wait();
  }
  return sum;
}

std::size_t by_join() {
  std::size_t sum = 0;
  for (int n = 0; n < rounds; ++n) {
    auto fiber =
        weft::spawn([n, given = pack(n)] { return pack(static_cast<int>(given->size())); });
    sum += fiber.join()->size();
    try {
      weft::spawn([]() -> int { throw std::runtime_error("thrown to the joiner"); }).join();
    } catch (const std::runtime_error& e) {
      sum += std::string(e.what()).size();
    }
  }
  return sum;
}

std::size_t by_timers() {
  std::size_t sum = 0;
  auto called = weft::make_chan<int>();
  for (int n = 0; n < 20; ++n) {
    auto value = std::make_shared<std::string>("set");
    auto timer = weft::after_func(100us, [value, called] {
      value->append(" and called");
      called.send(0);
    });
    static_cast<void>(called.recv());
    sum += value->size();
    static_cast<void>(weft::after(50us).recv());
    weft::sleep_for(20us);
  }
  weft::ticker ticks(50us);
  for (int n = 0; n < 20; ++n) static_cast<void>(ticks.c().recv());
  return sum;
}

std::size_t by_contexts() {
  std::size_t sum = 0;
  for (int n = 0; n < rounds / 4; ++n) {
    auto [ctx, cancel] = weft::with_cancel({});
    auto [timed, cancel_timed] = weft::with_timeout(ctx, n % 2 == 0 ? 100us : 1h);
    std::string reason;
    weft::wait_group all;
    std::size_t seen[3] = {};
    all.go([&, ctx = ctx] {
      static_cast<void>(ctx.done().recv());
      seen[0] = reason.size();
    });
    all.go([&, ctx = ctx] {
      while (!ctx.err()) weft::yield();
      seen[1] = reason.size();
    });
    all.go([&, timed = timed] { static_cast<void>(timed.done().recv()); });
    weft::group children(ctx);
    children.go([&, n](weft::context own) {
      if (n % 3 == 0) static_cast<void>(own.done().recv());
      seen[2] = 1;
    });
    reason = "told by the context";
    cancel();
    all.wait();
    children.wait();
    sum += seen[0] + seen[1] + seen[2];
  }
  return sum;
}

// Threads of the program's own, and calls that block.
std::size_t by_threads() {
  auto to_thread = weft::make_chan<parcel>(1);
  auto from_thread = weft::make_chan<parcel>();
  weft::mutex lock;
  std::vector<int> values;
  std::thread outside([&] {
    while (auto p = to_thread.recv()) {
      {
        std::lock_guard held(lock);
        values.push_back(1);
      }
      from_thread.send(std::move(*p));
    }
  });
  std::size_t sum = 0;
  weft::go([&] {
    for (int n = 0; n < rounds; ++n) to_thread.send(pack(n));
    to_thread.close();
  });
  for (int n = 0; n < rounds; ++n) {
    sum += (*from_thread.recv())->size();
    if (n % 8 == 0) {
      std::lock_guard held(lock);
      sum += weft::blocking([&] { return values.size() > 0 ? 1U : 0U; });
    }
  }
  weft::blocking([&] { outside.join(); });
  return sum + total(values);
}

// Deep and shallow fibers on recycled stacks, with frames that a sanitizer surrounds by red zones.
int depth(int n) {
  char space[200];
  space[0] = static_cast<char>(n);
  if (n == 0) return space[0];
  const int below = depth(n - 1);
  return below + (space[0] == 1 ? 1 : 0);
}

std::size_t by_recycling() {
  std::size_t sum = 0;
  for (int n = 0; n < rounds; ++n) {
    weft::wait_group all;
    std::size_t found[8] = {};
    for (std::size_t i = 0; i < 8; ++i) {
      all.go([&, i] {
        if (i % 3 == 2) {
          char left_behind[100];
          left_behind[0] = 1;
          found[i] = static_cast<std::size_t>(left_behind[0]);
          weft::exit_fiber();
        }
        found[i] = static_cast<std::size_t>(depth(static_cast<int>(i) * 10 + 1));
      });
    }
    all.wait();
    for (std::size_t f : found) sum += f;
  }
  return sum;
}

// Two fibers write to the same place. They meet by what orders nothing, on a thread each, and call
// nothing of the runtime before they write.
void make_race() {
  std::atomic<int> there{0};
  volatile int value = 0;
  weft::wait_group all;
  for (int i = 0; i < 2; ++i) {
    all.go([&, i] {
      there.fetch_add(1, std::memory_order_relaxed);
      while (there.load(std::memory_order_relaxed) != 2) {
      }
      // Many times: two writes at the very same moment may pass unseen.
      for (int k = 0; k < 1'000; ++k) value = i;
    });
  }
  all.wait();
}

void make_overflow() {
  weft::spawn([] {
    volatile std::size_t past = 4;
    const std::unique_ptr<char[]> block(new char[past]);
    block[past] = 1;
  }).join();
}

// Many, as the last one may still be found on the fiber's stack.
void make_leak() {
  weft::spawn([] {
    for (int i = 0; i < 100; ++i) {
      char* lost = new char[100];
      asm volatile("" : "+r"(lost));  // or it would be left out
    }
  }).join();
}

int share() {
  std::size_t sum = by_channels(0) + by_channels(3) + by_close() + by_select();
  sum += by_lock<weft::mutex>() + by_lock<weft::rw_mutex>() + by_cond() + by_semaphore();
  sum += by_once_and_gates() + by_join() + by_timers() + by_contexts() + by_threads();
  sum += by_recycling();
  // Parked for ever with things of its own: no leak, the fiber still has them.
  weft::go([kept = pack(50)] {
    const parcel own = pack(40);
    static_cast<void>(weft::make_chan<int>().recv());
  });
  weft::yield();
  std::printf("shared %zu\n", sum);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view mistake = count == 2 ? arguments[1] : "";
  return weft::run(
      [&] {
        if (mistake.empty()) return share();
        if (mistake == "race") make_race();
        if (mistake == "overflow") make_overflow();
        if (mistake == "leak") make_leak();
        return 0;
      },
      {.procs = 4});
}
