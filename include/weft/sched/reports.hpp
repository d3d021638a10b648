// Fatal reports of the scheduler.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// The terminate handler, the stack overflow handler and the dump for broken invariants. Idempotent.
void install_reports() noexcept;

[[noreturn]] WEFT_COLD void report_too_many_machines(unsigned limit) noexcept;
[[noreturn]] WEFT_COLD void report_no_thread() noexcept;
[[noreturn]] WEFT_COLD void report_no_memory_for_timer() noexcept;
[[noreturn]] WEFT_COLD void report_out_of_stacks(std::size_t waiting, bool at_map_limit) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
