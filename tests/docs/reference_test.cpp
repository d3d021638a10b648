// The examples in the comments of the public headers, compiled and run.
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "weft/io.hpp"
#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

std::atomic<int> worked_off{0};

void work(int& part) {
  worked_off += part;
  part *= 2;
}
void work(const weft::context& ctx, int& part) {
  ctx.throw_if_done();
  work(part);
}

}  // namespace

TEST_CASE("reference: a wait group waits for all parts", "[docs][unit]") {
  test::run_with_procs([] {
    std::vector<int> parts{1, 2, 3};
    weft::wait_group wg;
    for (auto& part : parts) wg.go([&part] { work(part); });
    wg.wait();
    CHECK(parts == std::vector<int>{2, 4, 6});
  });
}

TEST_CASE("reference: a group passes its context to its children", "[docs][unit]") {
  test::run_with_procs([] {
    std::vector<int> parts{1, 2, 3};
    const weft::context parent;
    weft::group g(parent);
    for (auto& part : parts) g.go([&part](weft::context ctx) { work(ctx, part); });
    g.wait();
    CHECK(parts == std::vector<int>{2, 4, 6});
  });
}

TEST_CASE("reference: a context ends a loop over a channel", "[docs][unit]") {
  test::run_with_procs([] {
    const auto jobs = weft::make_chan<int>(3);
    for (const int n : {1, 2, 3}) jobs.send(n);
    jobs.close();
    const weft::context parent;
    worked_off = 0;
    auto [ctx, cancel] = weft::with_timeout(parent, 2s);
    while (auto job = jobs.recv(ctx)) work(ctx, *job);
    CHECK(worked_off == 6);
  });
}

TEST_CASE("reference: codes compare with those of the standard", "[docs][unit]") {
  bool timed_out = false;
  try {
    weft::with_timeout({}, 0s).ctx.throw_if_done();
  } catch (const std::system_error& e) {
    if (e.code() == std::errc::timed_out) timed_out = true;  // deadline_exceeded compares equal
  }
  CHECK(timed_out);
}

TEST_CASE("reference: a flight gives its value", "[docs][unit]") {
  test::run_with_procs([] {
    using page = std::string;
    const std::string url = "a";
    const auto fetch = [](const std::string& from) { return "page of " + from; };
    weft::singleflight<std::string, page> fetches;
    page p = fetches.run(url, [&] { return fetch(url); }).value;
    CHECK(p == "page of a");
  });
}

TEST_CASE("reference: a pool gives buffers, and once_value one configuration", "[docs][unit]") {
  test::run_with_procs([] {
    weft::pool<std::string> buffers([] { return std::string(4096, '\0'); });
    std::string buffer = *buffers.get();
    buffer[0] = 'x';
    buffers.put(std::move(buffer));

    int loads = 0;
    int used = 0;
    const auto load = [&loads] { return ++loads; };
    const auto use = [&used](int value) { used += value; };
    auto config = weft::once_value([&] { return load(); });
    use(config());
    use(config());
    CHECK(loads == 1);
    CHECK(used == 2);
  });
}

TEST_CASE("reference: a signal on a channel beside a context", "[docs][unit]") {
  test::run_with_procs([] {
    auto [ctx, stop] = weft::with_cancel({});
    const auto cancel = [&stopped = stop] { stopped(); };
    cancel();
    auto signals = weft::notify_signals({SIGINT, SIGTERM});
    weft::select(weft::recv(signals, [&](int) { cancel(); }), weft::done(ctx));
    signals = {};  // from here on Ctrl-C ends the program again
    CHECK(ctx.err() == weft::errc::canceled);
  });
}
