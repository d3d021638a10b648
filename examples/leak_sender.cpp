// Leak: the first answer wins, and the senders of the others stay blocked for ever.
#include <cstdio>
#include <string_view>
#include <weft/debug.hpp>
#include <weft/weft.hpp>

namespace {

int ask(int replica) { return 40 + replica; }

// [leak]
// Wrong: one answer is received, and two fibers never get rid of theirs.
int first_answer() {
  const auto answers = weft::make_chan<int>();
  for (int replica = 1; replica <= 3; ++replica) {
    weft::go({.name = "replica"}, [=] { answers.send(ask(replica)); });
  }
  return *answers.recv();
}
// [end]

// [right]
// Right: the channel has room for every answer. Or each sends with a context, and gives up.
int first_answer_without_leak() {
  const auto answers = weft::make_chan<int>(3);
  for (int replica = 1; replica <= 3; ++replica) {
    weft::go([=] { answers.send(ask(replica)); });
  }
  return *answers.recv();
}
// [end]

// [report]
// Who is there beside main, and what it waits for. Once nothing else runs the deadlock report says
// the same; a service is never so idle, and asks.
void print_leaks() {
  for (const weft::debug::fiber_info& f : weft::debug::fibers()) {
    if (f.id == weft::this_fiber::id()) continue;
    std::printf("leaked: [%s] %s, created by %s\n", f.state.c_str(), f.name.c_str(),
                f.created_at.function.c_str());
  }
}
// [end]

}  // namespace

int main() {
  // With a seed main goes on only when the others can't: what is left is left for good.
  return weft::run(
      [] {
        first_answer_without_leak();
        weft::sleep_for(std::chrono::seconds(1));
        std::printf("fibers: %zu\n", weft::num_fibers());
        first_answer();
        weft::sleep_for(std::chrono::seconds(1));
        print_leaks();
        return 0;
      },
      {.seed = 1});
}

// Output:
// fibers: 1
// leaked: [chan send] replica, created by *first_answer*
// leaked: [chan send] replica, created by *first_answer*
