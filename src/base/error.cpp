// The error category and the functions that throw.
#include "weft/base/error.hpp"

#include <new>

namespace weft::inline WEFT_ABI {
namespace {

class category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "weft"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::canceled:
        return "context canceled";
      case errc::deadline_exceeded:
        return "context deadline exceeded";
      case errc::closed:
        return "use of closed file or connection";
      case errc::unexpected_end:
        return "unexpected end of stream";
      case errc::fiber_exited:
        return "fiber ended by exit_fiber, without a result";
    }
    return "unknown error " + std::to_string(value);
  }

  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<errc>(value)) {
      case errc::canceled:
        return std::errc::operation_canceled;
      case errc::deadline_exceeded:
        return std::errc::timed_out;
      case errc::closed:
      case errc::unexpected_end:
      case errc::fiber_exited:
        break;
    }
    return {value, *this};
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  // Never destroyed: an error may be asked for its text while static objects go.
  alignas(category) static unsigned char storage[sizeof(category)];
  static const category* const instance = ::new (static_cast<void*>(storage)) category;
  return *instance;
}

std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), error_category()};
}

io_error::io_error(std::error_code code, const char* what, std::size_t transferred)
    : std::system_error(code, what), transferred_(transferred) {}

io_error::io_error(std::error_code code, const std::string& what, std::size_t transferred)
    : std::system_error(code, what), transferred_(transferred) {}

}  // namespace weft::inline WEFT_ABI

namespace weft::inline WEFT_ABI::detail {

void throw_usage_error(const char* what) { throw usage_error(what); }
void throw_invalid_argument(const char* what) { throw std::invalid_argument(what); }
void throw_closed_channel(const char* what) { throw closed_channel(what); }
void throw_nil_channel(const char* what) { throw nil_channel(what); }
void throw_deadlock(const std::string& what) { throw deadlock_error(what); }
void throw_system_error(errc code) { throw std::system_error(make_error_code(code)); }
void throw_system_error(std::error_code code) { throw std::system_error(code); }
void throw_system_error(std::error_code code, const char* what) {
  throw std::system_error(code, what);
}
void throw_errno(int error, const char* what) {
  throw std::system_error(error, std::system_category(), what);
}

}  // namespace weft::inline WEFT_ABI::detail
