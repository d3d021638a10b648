// A program of somebody who uses weft, with a mistake: a std::mutex held over a wait.
#include <cstdio>
#include <mutex>
#include <weft/weft.hpp>

int main() {
  // One processor: nobody runs the other fiber before this one parks.
  return weft::run(
      [] {
        std::mutex mutex;
        auto answers = weft::make_chan<int>();
        weft::go([answers] { answers.send(42); });
        int answer = 0;
        {
          const std::lock_guard held(mutex);
          answer = answers.recv().value_or(0);
        }
        std::printf("weft %s: %d\n", WEFT_VERSION, answer);
        return 0;
      },
      weft::options{.procs = 1});
}
