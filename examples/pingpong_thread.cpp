// Ping-pong with a plain thread: channels work the same from a fiber and from a std::thread.
#include <cstdio>
#include <thread>
#include <weft/weft.hpp>

int main() {
  weft::runtime runtime;  // embedded: main stays a plain thread
  const auto ping = weft::make_chan<int>();
  const auto pong = weft::make_chan<int>();

  // [thread]
  // A fiber parks where it waits; this thread sleeps in the kernel. Neither knows of the other.
  std::thread thread([ping, pong] {
    for (const int n : ping) pong.send(n + 1);
    pong.close();
  });
  // [end]

  const int last = runtime.block_on([&] {
    int n = 0;
    while (n < 1000) {
      ping.send(n);
      n = *pong.recv();
      if (n % 250 == 0) std::printf("the thread said %d\n", n);
    }
    ping.close();
    return n;
  });
  thread.join();
  std::printf("%d round trips\n", last);
  return 0;
}

// Output:
// the thread said 250
// the thread said 500
// the thread said 750
// the thread said 1000
// 1000 round trips
