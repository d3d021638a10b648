// Functions, files and lines of many code addresses at once, for reports that may take their time.
//
// Model       addresses are collected, then looked up together by a short-lived thread: whoever
//             wants the report may stand on a fiber's stack, which is too small for a demangler and
//             for a reader of debug information. What was found is kept for the process, so that
//             asking again is cheap.
// Lines       come from libdw, when weft was configured with its header and the system has the
//             library when it is first needed; else the file stays empty. It is loaded then and not
//             linked: no program starts later, and none needs it to be built.
// Memory      allocates, may throw std::bad_alloc. Not in a signal handler.
// Rejected    dwfl_standard_find_debuginfo: it may ask a server on the network.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class report;

struct place {
  std::string function;           // demangled; empty: not known
  std::string file;               // as the debug information has it; empty: not known
  int line = 0;                   // 0: not known
  std::string module;             // the file of the code, without its folder
  std::size_t module_offset = 0;  // as addr2line takes it
};

class place_table {
 public:
  void add(void* const* pcs, std::size_t count);
  // Of all that were added: finds their places. Where the system has no thread to give, without
  // lines.
  void look_up();
  // Null: not looked up.
  [[nodiscard]] const place* find(void* pc) const noexcept;

 private:
  std::unordered_map<void*, place> found_;
  std::vector<void*> wanted_;
};

// As the other print_stack, with files and lines. What the table lacks is printed raw.
void print_stack(report& out, void* const* pcs, std::size_t count, const place_table& places);

// The frames at the inner end that belong to weft's inner parts or to the C++ runtime's throwing:
// so many do not help who reads a report. Never all.
[[nodiscard]] std::size_t count_inner_frames(void* const* pcs, std::size_t count) noexcept;

// How the report of an uncaught exception prints the caller's own stack, from where it threw.
WEFT_NOINLINE void print_own_stack(report& out) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
