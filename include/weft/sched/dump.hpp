// The dump walk: what each fiber is, does and waits for, as text.
//
// Safety      reads the records of all schedulers without stopping anybody: each line is true at
//             some moment, different lines perhaps at different ones. Stacks are only walked where
//             the caller knows that nothing runs. Nothing is allocated and no lock is waited for.
#pragma once

#include <cstdint>
#include <string_view>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class fiber;
class report;
class scheduler;

enum class dump_style : unsigned char {
  plain,        // state and creation site
  with_stacks,  // parked fibers' stacks too: nothing may run
};

// "chan receive, 3 minutes, locked to thread": what stands in the brackets of a dump.
void print_state(const fiber& f, report& out, std::int64_t now);

// "created by FUNCTION", and the place.
void print_creation(const fiber& f, report& out);

void dump_fiber(const fiber& f, report& out, dump_style style);
void dump_fibers(const scheduler& s, report& out, dump_style style);
// Of every scheduler of the process.
void dump_all(report& out, dump_style style) noexcept;

// From __PRETTY_FUNCTION__ of type_name<F>(): the name of F.
[[nodiscard]] std::string_view short_type_name(std::string_view pretty) noexcept;

// The last part of a path.
[[nodiscard]] std::string_view file_name(std::string_view path) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
