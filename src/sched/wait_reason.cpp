// The names of the wait reasons, as SC-22 has them.
#include "weft/sched/wait_reason.hpp"

#include <array>
#include <cstddef>

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(wait_reason::count)> reason_names{
    "runnable",
    "chan receive",
    "chan receive (nil chan)",
    "chan send",
    "chan send (nil chan)",
    "select",
    "select (no cases)",
    "sync.Mutex.Lock",
    "sync.RWMutex.RLock",
    "sync.RWMutex.Lock",
    "sync.WaitGroup.Wait",
    "sync.Cond.Wait",
    "once",
    "semacquire",
    "latch",
    "barrier",
    "sleep",
    "IO wait",
    "join",
    "group wait",
    "blocking limit",
    "set_procs",
    "context wait",
    "bubble",
    "bubble wait",
};

}  // namespace

std::string_view name_of(wait_reason reason) noexcept {
  const auto index = static_cast<std::size_t>(reason);
  return index < reason_names.size() ? reason_names[index] : "unknown";
}

}  // namespace weft::inline WEFT_ABI::detail
