// Reports to stderr without allocation, one fatal report per process, and the terminate handler.
//
// Signals     report, begin_fatal_report, end_process and fatal_invariant may be used in a signal
//             handler and on any stack that has some 2 KiB left, the dump hook's need apart;
//             describe_exception may not.
// Once        the first thread that begins a fatal report prints it whole and ends the process; the
//             others wait in begin_fatal_report for that end (SC-18).
// Order       pair report.hook: a hook is installed with release and called after an acquire.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string_view>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Text on its way to a descriptor. Nothing is allocated, errors of writing are ignored: there is
// nobody left to tell. Written out when the buffer is full, by flush() and by the destructor.
class report {
 public:
  using sink = void (*)(void* argument, const char* text, std::size_t size);

  explicit report(int fd = 2) noexcept;
  // Everything goes to `write` instead, which may allocate and throw if whoever builds the report
  // may.
  report(sink write, void* argument) noexcept : write_(write), argument_(argument) {}
  ~report() { flush(); }
  report(const report&) = delete;
  report& operator=(const report&) = delete;

  report& text(std::string_view words);
  report& line(std::string_view words = {}) { return text(words).text("\n"); }
  // Words of the user, with a tab after each line's end, so that they stay one item.
  report& indented(std::string_view words);
  report& number(std::unsigned_integral auto n) { return put_unsigned(n); }
  report& number(std::signed_integral auto n) { return put_signed(n); }
  report& hex(std::uintptr_t n);  // with 0x
  report& address(const void* p);
  void flush();

 private:
  report& put_unsigned(std::uint64_t n);
  report& put_signed(std::int64_t n);

  sink write_;
  void* argument_;
  std::size_t used_ = 0;
  char buffer_[512];
};

// Before the first word of a fatal report. Returns true to the first thread that calls it; every
// other thread stays here until the process ends. False: this thread is in a fatal report already,
// and failed in it: end the process without another word.
[[nodiscard]] bool begin_fatal_report() noexcept;

// Ends the process without running destructors, exit handlers or flushing stdio. `status` is 2 for
// all fatal reports.
[[noreturn]] void end_process(int status) noexcept;

// Prints the fibers, for fatal_invariant; must neither allocate nor take a lock for good.
using dump_hook = void (*)(report& out) noexcept;
void set_dump_hook(dump_hook hook) noexcept;  // null: none

// weft broke a promise to itself: "fatal error: weft: WHAT", the dump of all fibers, abort().
[[noreturn]] WEFT_COLD void fatal_invariant(const char* what) noexcept;

// One line per level of nesting, the innermost first, "panic: " before each and a tab before all
// but the first. An exception that is no std::exception prints its type. Not in a signal handler.
void describe_exception(const std::exception_ptr& exception, report& out);

// Called when std::terminate is, with the stack of the throw (or of the noexcept frame) still
// below. `exception` is null when none is being handled. False: not a fiber's affair, the handler
// that was installed before weft's decides.
using terminate_hook = bool (*)(const std::exception_ptr& exception) noexcept;

// From the first call on std::terminate goes to the hook; later calls only change the hook.
void install_terminate_handler(terminate_hook hook) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
