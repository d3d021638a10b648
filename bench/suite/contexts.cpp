// Workloads over contexts.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "suite/bench.hpp"
#include "weft/context.hpp"
#include "weft/runtime.hpp"

using namespace std::chrono_literals;
using bench::settings;

namespace {

void create_and_cancel(const std::string& name, const weft::context& parent, std::int64_t n) {
  bench::warm(name, n, "ns/op", [&parent](std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto [ctx, cancel] = weft::with_cancel(parent);
      cancel();
      if (i == 0) bench::check(static_cast<bool>(ctx.err()), "context: it is canceled");
    }
  });
}

}  // namespace

WEFT_WORKLOAD(ctx_withcancel) {
  create_and_cancel("ctx_withcancel", weft::background(), s.scaled(2'000'000));
  const auto [parent, cancel] = weft::with_cancel(weft::background());
  create_and_cancel("ctx_withcancel_child", parent, s.scaled(2'000'000));
  cancel();
}

WEFT_WORKLOAD(ctx_tree_cancel) {
  constexpr std::size_t children = 10'000;
  const std::int64_t rounds = s.scaled(100, 2);
  double wall = 0;
  double cpu = 0;
  for (std::int64_t round = 0; round < rounds; ++round) {
    const auto [root, cancel] = weft::with_cancel(weft::background());
    std::vector<weft::cancelable_context> all;
    all.reserve(children);
    for (std::size_t i = 0; i < children; ++i) all.push_back(weft::with_cancel(root));
    const bench::stopwatch watch;
    cancel();
    wall += watch.wall_ns();
    cpu += watch.cpu_ns();
    for (const weft::cancelable_context& child : all)
      bench::check(static_cast<bool>(child.ctx.err()), "context: the child is canceled");
  }
  const double operations = static_cast<double>(rounds) * static_cast<double>(children);
  bench::figure("ctx_tree_cancel", wall / operations, "ns/op");
  bench::figure("ctx_tree_cancel.cpu", cpu / operations, "ns/op");
}

WEFT_WORKLOAD(ctx_withtimeout) {
  bench::warm("ctx_withtimeout", s.scaled(1'000'000), "ns/op", [](std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      const auto [ctx, cancel] = weft::with_timeout(weft::background(), 1h);
      cancel();
      if (i == 0) bench::check(static_cast<bool>(ctx.err()), "context: it is canceled");
    }
  });
}

WEFT_WORKLOAD(ctx_value_depth10) {
  const weft::context_key<std::int64_t> wanted;
  const weft::context_key<std::int64_t> other;
  weft::context ctx = weft::with_value(weft::background(), wanted, std::int64_t{1});
  for (std::int64_t i = 0; i < 10; ++i) ctx = weft::with_value(ctx, other, i);
  bench::warm("ctx_value_depth10", s.scaled(10'000'000), "ns/op", [&](std::int64_t n) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += *ctx.value(wanted);
    bench::check(sum == n, "context: the value");
  });
}
