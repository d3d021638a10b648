// Leak: a ticker that nobody stops keeps the fiber that reads it, for each request one more.
#include <chrono>
#include <cstdio>
#include <sstream>
#include <string>
#include <weft/debug.hpp>
#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

// [leak]
// Wrong: a ticker's channel is never closed, so this loop has no end. It looks busy, too: there is
// always a next tick, so no deadlock is ever reported.
void watch_progress() {
  weft::go({.name = "progress"}, [] {
    const weft::ticker ticks(10ms);
    for ([[maybe_unused]] const auto when : ticks.c()) {
      // say how far it is
    }
  });
}
// [end]

// [right]
// Right: it lasts as long as the request. At its end the ticker's destructor stops the ticks.
void watch_progress(const weft::context& request) {
  weft::go([request] {
    const weft::ticker ticks(10ms);
    while (weft::select(weft::recv(ticks.c()), weft::done(request)) == 0) {
      // say how far it is
    }
  });
}
// [end]

void handle_request(bool leaks) {
  const auto [request, cancel] = weft::with_cancel({});
  leaks ? watch_progress() : watch_progress(request);
  weft::sleep_for(25ms);
}

}  // namespace

int main() {
  return weft::run(
      [] {
        for (int i = 0; i < 3; ++i) handle_request(false);
        weft::sleep_for(1s);
        std::printf("fibers: %zu\n", weft::num_fibers());
        for (int i = 0; i < 3; ++i) handle_request(true);
        weft::sleep_for(1002ms);  // between two ticks
        std::printf("fibers: %zu\n", weft::num_fibers());
        // [report]
        // Fibers that do the same in the same place share a paragraph: a leak stands out.
        std::ostringstream dump;
        weft::debug::dump(dump);
        // [end]
        std::istringstream lines(dump.str());
        for (std::string line; std::getline(lines, line);)
          if (line.find("[chan receive]") != std::string::npos || line.starts_with("and "))
            std::printf("%s\n", line.c_str());
        return 0;
      },
      {.seed = 1});  // virtual time
}

// Output:
// fibers: 1
// fibers: 4
// fiber * [chan receive]: progress
// and 2 more like it
