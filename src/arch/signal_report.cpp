// The handler that writes a report.
#include "weft/arch/signal_report.hpp"

#include <cerrno>
#include <csignal>

#include "weft/arch/atomic.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constinit atomic<signal_report_writer> current_writer{nullptr};
constinit atomic<bool> is_writing{false};

void on_signal(int, siginfo_t*, void* ucontext) {
  const int saved_errno = errno;
  if (!is_writing.exchange(true, acquire)) {  // pairs: signal_report.busy
    current_writer.load(acquire)(ucontext);   // pairs: signal_report.writer
    is_writing.store(false, release);         // pairs: signal_report.busy
  }
  errno = saved_errno;
}

}  // namespace

std::errc report_on_signal(int signal, signal_report_writer writer) noexcept {
  current_writer.store(writer, release);  // pairs: signal_report.writer
  struct sigaction action{};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  return ::sigaction(signal, &action, nullptr) == 0 ? std::errc{} : static_cast<std::errc>(errno);
}

}  // namespace weft::inline WEFT_ABI::detail
