// A seam through which tests make the n-th system call of a kind fail.
//
// Every call of arch and of the poller that the system may refuse passes here first. Without a
// hook, which is always so outside of tests, that is one load and one predicted branch beside a
// system call.
//
// Names       memory: mmap munmap madvise process_madvise mprotect process_vm_readv
//             threads: pthread_create pthread_sigmask pthread_getattr_np futex_wait futex_wake
//                      membarrier sched_getaffinity
//             signals: sigaltstack sigaction sem_wait
//             descriptors: open read fcntl epoll_create1 epoll_ctl epoll_wait eventfd
//                      eventfd_write eventfd_read
//             Not here: the clock, a pthread_join, a close: given what we give them they have no
//             way to fail. What reports write may fail on any descriptor: tests close it.
// Seen by     tests/faults: each name, each n of a whole run.
#pragma once

#include <cerrno>

#include "weft/arch/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Gets the name of the call about to be made ("mmap", "pthread_create"). Returns the errno with
// which it shall seem to fail, or 0: make it. Counting is the hook's business; it may be called
// from several threads, and under locks, so it must neither block nor call weft.
using fault_hook = int (*)(const char* call) noexcept;

extern constinit atomic<fault_hook> current_fault_hook;

// Null: back to normal.
void set_fault_hook_for_testing(fault_hook hook) noexcept;

[[nodiscard]] inline int injected_fault(const char* call) noexcept {
  // relaxed: a test sets the hook before it starts the threads whose calls shall fail
  fault_hook hook = current_fault_hook.load(relaxed);
  return WEFT_UNLIKELY(hook != nullptr) ? hook(call) : 0;
}

// Makes the call, one that gives -1 and sets errno where the system refuses it; or does as if.
template <class Call>
[[nodiscard]] auto may_fail(const char* name, Call call) noexcept {
  const int error = injected_fault(name);
  if (WEFT_LIKELY(error == 0)) return call();
  errno = error;
  return decltype(call()){-1};
}

}  // namespace weft::inline WEFT_ABI::detail
