// Graceful shutdown: at a signal nothing new is begun, what runs may end, and not for ever.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <weft/io.hpp>
#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

void handle(const weft::context& ctx, int request) {
  weft::sleep_for(ctx, std::chrono::milliseconds(5 * request));
}

// [serve]
// Two contexts: `accepting` ends at once, `working` only when the time for the rest is over.
int serve(weft::recv_chan<int> requests, weft::recv_chan<int> signals) {
  const auto [working, abort] = weft::with_cancel({});
  auto [accepting, stop] = weft::with_cancel(working);
  weft::go([signals, end = std::move(stop)] {
    static_cast<void>(signals.recv());
    end();
  });

  weft::wait_group running;
  int begun = 0;
  std::error_code stopped;
  while (const auto request = requests.recv(accepting, stopped)) {
    ++begun;
    running.go([ctx = working, n = *request] { handle(ctx, n); });
  }
  std::error_code late;
  if (!running.wait(weft::with_timeout({}, 10s).ctx, late)) abort();
  running.wait();
  return begun;
}
// [end]

}  // namespace

int main() {
  return weft::run([] {
    const weft::recv_chan<int> signals = weft::notify_signals({SIGTERM, SIGINT});
    const auto requests = weft::make_chan<int>();
    weft::go([requests] {
      for (int n = 1; n <= 3; ++n) requests.send(n);
      std::raise(SIGTERM);
    });
    std::printf("%d requests, all of them ended\n", serve(requests, signals));
    return 0;
  });
}

// Output:
// 3 requests, all of them ended
