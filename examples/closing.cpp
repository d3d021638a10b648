// Closing: only senders close a channel; a receiver who has enough says so by closing another one.
#include <cstdio>
#include <weft/weft.hpp>

namespace {

// [senders]
// Several senders on one channel: none of them may close it while another may send. The fiber that
// waits for all of them does.
weft::recv_chan<int> draw(int senders, weft::recv_chan<weft::unit> enough) {
  const auto numbers = weft::make_chan<int>();
  weft::go([=] {
    weft::wait_group all;
    for (int i = 0; i < senders; ++i) {
      all.go([&, i] {
        for (int n = i;; n += senders) {
          if (weft::select(weft::send(numbers, n), weft::recv(enough)) == 1) return;
        }
      });
    }
    all.wait();
    numbers.close();
  });
  return numbers;
}
// [end]

}  // namespace

int main() {
  return weft::run([] {
    // [receiver]
    const auto enough = weft::make_chan<weft::unit>();
    const auto numbers = draw(3, enough);
    int received = 0;
    for ([[maybe_unused]] const int n : numbers) {
      if (++received == 10) enough.close();  // all senders see it: a close reaches everybody
      if (received >= 10) break;
    }
    // What the senders were about to give may be dropped; that the channel is closed tells that
    // they have gone.
    while (numbers.recv()) {
    }
    // [end]
    std::printf("received %d, and the senders have gone\n", received);
    return 0;
  });
}

// Output:
// received 10, and the senders have gone
