// A report that a signal asks for, written by its handler.
//
// Why unsafe  the handler runs at any instruction of any thread, perhaps of one that holds malloc's
//             lock or stands in the middle of a switch. The writer may only do what a signal
//             handler may. errno is kept.
// Once        one report at a time: a signal that comes while another thread's handler writes is
//             dropped, and so is one that interrupts the writer.
// Order       pair signal_report.writer: installed with release -> the handler acquires it.
//             pair signal_report.busy: the end of a report releases -> the next acquires.
// Seen by     tests "debug: a signal ...".
#pragma once

#include <system_error>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Gets the third argument of the handler.
using signal_report_writer = void (*)(const void* ucontext) noexcept;

// Installs the handler, for good; it runs on the alternate stack where the thread has one, and
// system calls go on afterwards.
[[nodiscard]] std::errc report_on_signal(int signal, signal_report_writer writer) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
