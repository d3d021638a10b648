// The dump: what each fiber is, does and waits for, as text.
//
// Safety      nobody is stopped for longer than a look (sched/look.hpp) takes: each paragraph is
//             true at some moment, different ones perhaps at different ones.
// Alike       fibers that do the same in the same place share one paragraph. The records are walked
//             twice: first to count, then to print.
// Cycles      fibers that wait for one another in a ring, by locks, onces and joins, are named
//             before all others. A ring is real: each of its members was seen parked twice, in the
//             same wait, and only it can end the wait of the one before (sched/owner_mark.hpp).
// Order       pair dump.likeness: ending a dump releases the table -> the next one acquires it.
#pragma once

#include <cstdint>
#include <string_view>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class bubble_state;
class fiber;
class report;
class scheduler;

enum class dump_style : unsigned char {
  plain,  // state and creation site: for reports on structures that are in doubt
  raw,    // stacks too, by mangled names: allocates nothing and waits for nobody
  full,   // names as in the source, files and lines; allocates, and may take some 100 ms
};

// "chan receive, 3 minutes, locked to thread": what stands in the brackets of a dump.
void print_state(const fiber& f, report& out, std::int64_t now);

// "created by FUNCTION", and the place.
void print_creation(const fiber& f, report& out);

void dump_fiber(fiber& f, report& out, dump_style style);
void dump_fibers(const scheduler& s, report& out, dump_style style);
// The durably blocked fibers of a bubble.
void dump_bubble(const bubble_state& b, report& out);
// Of every scheduler of the process. `ucontext`: the third argument of the signal handler that asks
// for a raw dump, if one does.
void dump_all(report& out, dump_style style, const void* ucontext = nullptr) noexcept;

// From __PRETTY_FUNCTION__ of type_name<F>(): the name of F.
[[nodiscard]] std::string_view short_type_name(std::string_view pretty) noexcept;

// The last part of a path.
[[nodiscard]] std::string_view file_name(std::string_view path) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
