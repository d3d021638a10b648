// Starts the stages, and collects what they report until the last of them has ended.
#include "pipeline.hpp"

#include <chrono>
#include <csignal>
#include <optional>
#include <weft/io.hpp>

#include "screen.hpp"

namespace digest {

namespace {

// The channels close from left to right: no more files, then no more workers, then no more events.
weft::recv_chan<event> start(const weft::context& ctx, const source& send_files, unsigned jobs) {
  const stages to{ctx, weft::make_chan<job>(jobs), weft::make_chan<event>(64)};
  crew::go_alone([to, send_files, jobs] {
    crew workers;
    for (unsigned i = 0; i < jobs; ++i) workers.go([&to] { hash_files(to); });
    send_files(to);
    to.files.close();
    workers.wait();
    to.events.close();
  });
  return to.events;
}

// Keeps what the events say.
class collector {
 public:
  void operator()(const found& e) { progress_.found += e.files; }
  void operator()(hashed& e) {
    ++progress_.done;
    progress_.bytes += e.bytes;
    results_.files.push_back(std::move(e));
  }
  void operator()(failed& e) {
    ++progress_.done;
    screen_.complain(e.file.path, e.reason);
    results_.failures.push_back(std::move(e));
  }

  void draw() { screen_.draw(progress_, weft::clock::now() - began_); }
  [[nodiscard]] bool has_bar() const { return screen_.is_terminal(); }

  results finish(int signal) {
    screen_.clear();
    results_.bytes = progress_.bytes;
    results_.elapsed = weft::clock::now() - began_;
    results_.signal = signal;
    return std::move(results_);
  }

 private:
  weft::clock::time_point began_ = weft::clock::now();
  screen screen_;
  progress progress_;
  results results_;
};

}  // namespace

// [collect]
results run_pipeline(const source& files, unsigned jobs) {
  auto [ctx, cancel] = weft::with_cancel({});
  weft::recv_chan<int> signals = weft::notify_signals({SIGINT, SIGTERM});
  const weft::recv_chan<event> events = start(ctx, files, jobs);

  collector collected;
  const weft::ticker ticker(std::chrono::milliseconds(100));
  weft::recv_chan<weft::clock::time_point> ticks;  // nil, so never ready, without a terminal
  if (collected.has_bar()) ticks = ticker.c();

  int signal = 0;
  for (bool open = true; open;) {
    weft::select(weft::recv(events,
                            [&](std::optional<event> e) {
                              open = e.has_value();
                              if (open) std::visit(collected, *e);
                            }),
                 weft::recv(ticks, [&] { collected.draw(); }),
                 weft::recv(signals, [&](int s) { signal = s; }));
    if (signal != 0 && signals) {
      cancel();
      signals = {};  // no more of them; the next Ctrl-C has its usual effect
    }
  }
  return collected.finish(signal);
}
// [end]

}  // namespace digest
