// Error codes and exceptions of weft.
#pragma once

/// @file
/// How weft tells of failures.
///
/// An error of the world (cancellation, a deadline, I/O) is a std::system_error; the twin of the
/// same call with a last parameter `std::error_code&` reports it there and does not throw. An error
/// of use (send on a closed channel, unlock of an unlocked mutex) is a subclass of
/// std::logic_error, and has no such twin: the program is wrong. Compare codes with `weft::errc`,
/// or with `std::errc` where the standard has the word:
///
///     if (e.code() == std::errc::timed_out) timed_out = true;  // deadline_exceeded compares equal
///
/// | thrown                  | when                                                           |
/// |-------------------------|----------------------------------------------------------------|
/// | std::system_error       | cancelled, deadline exceeded, closed, errors of the system     |
/// | weft::io_error          | the same, when a part of a read or write had been done         |
/// | weft::closed_channel    | send on or close of a closed channel                           |
/// | weft::nil_channel       | close of the nil channel                                       |
/// | weft::usage_error       | every other error of use                                       |
/// | std::invalid_argument   | options and arguments out of range, or that contradict others  |
/// | weft::deadlock_error    | all fibers are blocked for ever, where the policy is to throw  |

#include "weft/base/error.hpp"
