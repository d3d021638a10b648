// weft_bench NAME [-procs N] [-scale F]: one workload, its figures on standard output.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "suite/bench.hpp"
#include "weft/runtime.hpp"

namespace bench {

workload* workload::first = nullptr;

workload::workload(std::string_view its_name, void (*its_body)(const settings&)) noexcept
    : name(its_name), body(its_body), next(first) {
  first = this;
}

namespace {

std::vector<const workload*> all_workloads() {
  std::vector<const workload*> all;
  for (const workload* w = workload::first; w != nullptr; w = w->next) all.push_back(w);
  std::sort(all.begin(), all.end(),
            [](const workload* a, const workload* b) { return a->name < b->name; });
  return all;
}

int run_named(const std::string& name, const settings& s) {
  const std::vector<const workload*> all = all_workloads();
  if (name == "list") {
    for (const workload* w : all) std::printf("%s\n", std::string(w->name).c_str());
    return 0;
  }
  for (const workload* w : all) {
    if (w->name != name) continue;
    weft::run([&] { w->body(s); }, weft::options{.procs = s.procs});
    return 0;
  }
  std::fprintf(stderr, "weft_bench: no workload '%s'; `weft_bench list` names them\n",
               name.c_str());
  return 2;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  // The peers' command line has long options with one dash.
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    const std::string text = argv[i];
    arguments.push_back(text == "-procs" || text == "-scale" ? "-" + text : text);
  }
  CLI::App app{"One workload of the benchmark suite."};
  std::string name;
  bench::settings s{.procs = 2};
  app.add_option("NAME", name, "the workload; list: their names")->required();
  app.add_option("--procs", s.procs, "processors, 1 to 1024")->check(CLI::Range(1, 1024));
  app.add_option("--scale", s.scale, "multiplies the numbers of operations")
      ->check(CLI::PositiveNumber);
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return bench::run_named(name, s);
}
