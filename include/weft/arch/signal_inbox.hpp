// Signals as data: a handler that only counts, and a call by which one thread waits for the counts.
//
// Why unsafe  the handler runs at any instruction of any thread, on whatever stack is in use there.
//             It touches static storage and a semaphore only, of which POSIX says that posting it
//             is safe there, and keeps errno. Nothing that it uses is ever destroyed: a handler may
//             still run on another thread when its signal has been released.
// Caller      io/notify_signals.cpp, whose lock orders the calls of catch_signal, release_signal.
// Keeps       how often each signal came, not in which order different ones did: as the system.
// Rejected    a pipe or an eventfd: a handler that runs late would write to a descriptor that is
//             closed by then, or somebody else's. signalfd and sigwait: the signal would have to be
//             blocked in every thread of the process, also in those that are not ours.
// Seen by     tests "signals: ...".
#pragma once

#include <cstdint>
#include <system_error>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Signals are 1 .. last_signal.
inline constexpr int last_signal = 64;

// False: no number of a signal, or one that can't be received as data: SIGKILL and SIGSTOP are
// never caught, and a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL) would occur again for ever.
[[nodiscard]] bool is_catchable(int signal) noexcept;

// Installs the handler for a signal that is not caught yet, and keeps what was there before.
[[nodiscard]] std::errc catch_signal(int signal) noexcept;

// Puts back what catch_signal found, unless somebody has put his own there meanwhile.
void release_signal(int signal) noexcept;

// Blocks the OS thread until a caught signal came or interrupt_signal_wait() was called; may also
// return for nothing. One thread only.
void wait_for_signals() noexcept;
void interrupt_signal_wait() noexcept;

// How often the signal came since the last call for it.
[[nodiscard]] std::uint32_t take_signal_count(int signal) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
