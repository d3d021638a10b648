// Heartbeat: a worker says that it lives; whoever watches gives it up when it falls silent.
#include <chrono>
#include <cstdio>
#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

struct worker {
  weft::recv_chan<weft::unit> pulse;
  weft::recv_chan<int> results;
};

// [worker]
// The pulse never holds the work up: where nobody looks at it, it is lost.
worker start(const weft::context& ctx, weft::recv_chan<int> in, std::chrono::nanoseconds interval) {
  const auto pulse = weft::make_chan<weft::unit>(1);
  const auto results = weft::make_chan<int>();
  weft::go([ctx, in, pulse, results, interval] {
    const weft::ticker beat(interval);
    std::error_code canceled;
    bool goes_on = true;
    const auto process = [&](std::optional<int> n) {
      if (n == 7) weft::sleep_for(ctx, 1h, canceled);  // what a heartbeat is for
      goes_on = n.has_value() && !canceled && results.send(ctx, *n * 2, canceled);
    };
    while (goes_on) {
      weft::select(weft::recv(in, process),
                   weft::recv(beat.c(), [&] { static_cast<void>(pulse.try_send({})); }),
                   weft::done(ctx, [&] { goes_on = false; }));
    }
    results.close();
  });
  return {pulse, results};
}
// [end]

}  // namespace

int main() {
  return weft::run(
      [] {
        const auto [ctx, cancel] = weft::with_cancel({});
        const auto numbers = weft::make_chan<int>();
        weft::go([ctx, numbers] {
          std::error_code canceled;
          for (int n = 5; numbers.send(ctx, n, canceled); ++n)
            weft::sleep_for(ctx, 300ms, canceled);
        });
        const auto [pulse, results] = start(ctx, numbers, 100ms);
        // [watch]
        bool lives = true;
        int beats = 0;
        while (lives) {
          weft::select(weft::recv(results, [](int n) { std::printf("result %d\n", n); }),
                       weft::recv(pulse, [&] { ++beats; }),
                       weft::timeout(250ms, [&] { lives = false; }));
        }
        // [end]
        std::printf("silent after some beats: %s\n", beats > 2 ? "yes" : "no");
        cancel();
        return 0;
      },
      {.on_exit = weft::exit_policy::wait, .seed = 1});  // virtual time; and nobody is left behind
}

// Output:
// result 10
// result 12
// silent after some beats: yes
