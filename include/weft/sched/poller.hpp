// What a poller must do; netpoll implements it, the runtime layer puts it in.
#pragma once

#include <cstdint>
#include <memory>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class poller {
 public:
  virtual ~poller() = default;

  // Blocks the OS thread until an event, break_wait() or `deadline` (nanoseconds of the monotonic
  // clock; `never`: none; in the past: looks only). Readies the tasks of what has become ready.
  // One thread at a time.
  virtual void wait(std::int64_t deadline) noexcept = 0;

  // Ends the wait under way, or the next one. From any thread.
  virtual void break_wait() noexcept = 0;

  // Tasks wait for descriptors: a poll may find something.
  [[nodiscard]] virtual bool has_waiters() const noexcept = 0;

  // For a foreign event loop, which waits in place of wait(): after enable_alarm(), a descriptor
  // that is readable when wait() would have something to do at once, or the alarm has gone off.
  [[nodiscard]] virtual int descriptor() const noexcept = 0;
  // Throws std::system_error.
  virtual void enable_alarm() = 0;
  // `when` as a deadline; `never`: no alarm. By the thread that waits otherwise.
  virtual void set_alarm(std::int64_t when) noexcept = 0;
};

// Throws std::system_error where the system refuses.
using poller_factory = std::unique_ptr<poller> (*)();

}  // namespace weft::inline WEFT_ABI::detail
