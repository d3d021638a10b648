// A plugin that starts fibers, in its host's runtime or in one of its own.
#include "plugin.hpp"

#include <optional>

#include "weft/weft.hpp"

namespace {

weft::chan<weft::unit> stop;
std::optional<weft::join_handle<void>> waiting;

}  // namespace

extern "C" {

int sum_of(int n) {
  const auto numbers = weft::make_chan<int>();
  weft::wait_group senders;
  for (int i = 0; i < n; ++i) {
    senders.go([=] {
      weft::yield();
      numbers.send(i);
    });
  }
  const auto closer = weft::spawn([&] {
    senders.wait();
    numbers.close();
  });
  int sum = 0;
  for (const int i : numbers) sum += i;
  return sum;
}

int sum_alone(int n) {
  return weft::run([n] { return sum_of(n); });
}

void start_waiting() {
  stop = weft::make_chan<weft::unit>();
  waiting = weft::spawn({.name = "plugin's own"}, [] { static_cast<void>(stop.recv()); });
}

void stop_waiting() {
  stop.close();
  waiting->join();
  waiting.reset();
  stop = {};
}
}
