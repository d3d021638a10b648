// The world outside: signals as channels.
#pragma once

#include <initializer_list>

#include "weft/chan.hpp"

namespace weft::inline WEFT_ABI {

/// A channel that gets the number of each of these signals that is delivered to the process. Their
/// previous disposition is back as soon as the last such channel is gone:
///
///     auto signals = weft::notify_signals({SIGINT, SIGTERM});
///     weft::select(weft::recv(signals, [&](int) { cancel(); }), weft::done(ctx));
///     signals = {};  // from here on Ctrl-C ends the program again
///
/// Several channels for one signal each get it. A channel buffers 16 signals; what comes while it
/// is full is dropped. As the system does, signals of one kind that come faster than they are
/// handled may arrive as fewer, and different ones in another order.
///
/// Blocks  never.
/// Errors  std::invalid_argument for an empty list and for what is no signal or can't be received:
///         SIGKILL, SIGSTOP, and the faults SIGSEGV, SIGBUS, SIGFPE, SIGILL. std::system_error when
///         the system refuses a handler or a thread; std::bad_alloc. No disposition has changed
///         then.
/// Threads any fiber or thread, with or without a runtime. System calls that a signal interrupts
///         go on by themselves (SA_RESTART).
[[nodiscard]] recv_chan<int> notify_signals(std::initializer_list<int> signals);

}  // namespace weft::inline WEFT_ABI
