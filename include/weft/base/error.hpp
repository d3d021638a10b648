// The errors that weft reports: error codes of the world's failures, exceptions for errors of use.
#pragma once

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI {

/// What ended an operation, where the system has no code of its own for it.
enum class errc {
  canceled = 1,       ///< the context was cancelled; equals std::errc::operation_canceled
  deadline_exceeded,  ///< a deadline or time limit passed; equals std::errc::timed_out
  closed,             ///< the file, socket or pipe was closed on this side
  unexpected_end,     ///< the stream ended in the middle of what was to be read
  fiber_exited,       ///< the joined fiber left by exit_fiber and so has no result
};

/// The category of weft::errc; its name is "weft".
[[nodiscard]] const std::error_category& error_category() noexcept;

/// The code in that category; std::error_code is made from errc by it.
[[nodiscard]] std::error_code make_error_code(errc code) noexcept;

/// Error of use: the caller broke a contract for which there is no class of its own. what() says
/// which one: "sync: negative WaitGroup counter".
class usage_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Error of use: a send on, or a close of, a channel that is closed.
class closed_channel : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Error of use: a close of the nil channel.
class nil_channel : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// No fiber can ever run again, and the program asked to be told instead of ended. what() carries
/// the dump of all fibers.
class deadlock_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A read or write that failed when a part of it was done already.
class io_error : public std::system_error {
 public:
  /// With the error, a text for what(), and how much was done before it.
  io_error(std::error_code code, const char* what, std::size_t transferred);
  /// The same.
  io_error(std::error_code code, const std::string& what, std::size_t transferred);

  /// How many bytes were read or written before the failure.
  [[nodiscard]] std::size_t transferred() const noexcept { return transferred_; }

 private:
  std::size_t transferred_;
};

}  // namespace weft::inline WEFT_ABI

template <>
struct std::is_error_code_enum<weft::errc> : std::true_type {};

// Throwing out of line keeps the code that throws out of the fast paths.
namespace weft::inline WEFT_ABI::detail {

[[noreturn]] WEFT_COLD void throw_usage_error(const char* what);
[[noreturn]] WEFT_COLD void throw_invalid_argument(const char* what);
[[noreturn]] WEFT_COLD void throw_closed_channel(const char* what);
[[noreturn]] WEFT_COLD void throw_nil_channel(const char* what);
[[noreturn]] WEFT_COLD void throw_deadlock(const std::string& what);
[[noreturn]] WEFT_COLD void throw_system_error(errc code);
[[noreturn]] WEFT_COLD void throw_system_error(std::error_code code);
[[noreturn]] WEFT_COLD void throw_system_error(std::error_code code, const char* what);
// From a value of errno.
[[noreturn]] WEFT_COLD void throw_errno(int error, const char* what);

}  // namespace weft::inline WEFT_ABI::detail
