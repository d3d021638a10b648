// The heavy side of the asymmetric fence: membarrier, or a full fence.
#include "weft/arch/fence.hpp"

#include <cerrno>

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "weft/arch/fault.hpp"
#include "weft/arch/valgrind.hpp"

namespace weft::inline WEFT_ABI::detail {

constinit atomic<bool> fence_needs_instruction{true};

namespace {

constinit atomic<bool> was_refused{false};  // after it had worked

bool membarrier(int command) noexcept {
#if defined(__linux__) && !WEFT_TSAN
  return may_fail("membarrier", [&] { return ::syscall(SYS_membarrier, command, 0U, 0); }) == 0;
#else
  static_cast<void>(command);
  return false;
#endif
}

bool register_process() noexcept {
#if defined(__linux__)
  if (runs_on_valgrind()) return false;  // see valgrind.hpp
  return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
#else
  return false;
#endif
}

}  // namespace

void prepare_fences() noexcept {
  static const bool needs_instruction = !register_process();
  // relaxed: always the same, but for a refusal, which stays
  fence_needs_instruction.store(needs_instruction || was_refused.load(relaxed), relaxed);
}

bool heavy_fence() noexcept {
#if defined(__linux__)
  // relaxed: as in light_fence
  if (!fence_needs_instruction.load(relaxed)) {
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return true;
    // No memory for it now; or refused for good, by a filter of system calls that came later.
    // relaxed: who is known to have seen it is the caller's affair
    if (errno != ENOMEM) {
      was_refused.store(true, relaxed);              // relaxed: likewise
      fence_needs_instruction.store(true, release);  // pairs: fence.refused
    }
  }
#endif
  std::atomic_thread_fence(seq_cst);  // pairs: fence.asymmetric
  return false;
}

bool fences_were_always_full() noexcept {
  // relaxed: ordered by the acquire before it
  return fence_needs_instruction.load(acquire) &&  // pairs: fence.refused
         !was_refused.load(relaxed);               // relaxed: likewise
}

void set_fences_for_testing(bool use_membarrier) noexcept {
  fence_needs_instruction.store(!use_membarrier, relaxed);  // relaxed: no machine runs
}

}  // namespace weft::inline WEFT_ABI::detail
