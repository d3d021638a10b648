// weft's workloads by name.
#pragma once

#include <string_view>

#include "frame/measure.hpp"

namespace bench {

// A workload; `body` runs as the main fiber of a runtime with settings.procs processors.
struct workload {
  workload(std::string_view name, void (*body)(const settings&)) noexcept;

  std::string_view name;
  void (*body)(const settings&);
  workload* next;

  static workload* first;
};

}  // namespace bench

// Defines the workload `id` under its own name: WORKLOAD(yield) { … uses `s` … }
#define WEFT_WORKLOAD(id)                                    \
  static void run_##id(const bench::settings& s);            \
  static const bench::workload workload_##id(#id, run_##id); \
  static void run_##id([[maybe_unused]] const bench::settings& s)
