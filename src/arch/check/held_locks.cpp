// The wrappers of the pthread locks, which stand in the program in front of the C library's.
//
// Real ones   a sanitizer's, where one is linked into the program; else the next ones after the
//             program's. They are looked up by .preinit_array, when the program has one thread and
//             no constructor has run. Another function of that section may come first and lock:
//             then its first call looks them up.
#include "weft/arch/held_locks.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>
#include <ctime>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/no_sanitize.hpp"
#include "weft/arch/tls.hpp"

// clang-format off: one a line
#define WEFT_CHECKED_FUNCTIONS(X) \
  X(mutex_lock) \
  X(mutex_trylock) \
  X(mutex_timedlock) \
  X(mutex_clocklock) \
  X(mutex_unlock) \
  X(rwlock_rdlock) \
  X(rwlock_tryrdlock) \
  X(rwlock_timedrdlock) \
  X(rwlock_clockrdlock) \
  X(rwlock_wrlock) \
  X(rwlock_trywrlock) \
  X(rwlock_timedwrlock) \
  X(rwlock_clockwrlock) \
  X(rwlock_unlock) \
  X(spin_lock) \
  X(spin_trylock) \
  X(spin_unlock)
// clang-format on

// What AddressSanitizer and ThreadSanitizer call theirs; absent without them.
#define WEFT_DECLARE(name) \
  extern "C" __attribute__((weak)) decltype(pthread_##name) __interceptor_pthread_##name;
WEFT_CHECKED_FUNCTIONS(WEFT_DECLARE)
#undef WEFT_DECLARE

namespace weft::inline WEFT_ABI::detail {

namespace {

// There before any constructor, and never destroyed.
thread_local constinit held_locks locks_of_thread;

struct real_functions {
// NOLINTNEXTLINE(bugprone-macro-parentheses): a declared name
#define WEFT_MEMBER(name) decltype(&::pthread_##name) name;
  WEFT_CHECKED_FUNCTIONS(WEFT_MEMBER)
#undef WEFT_MEMBER
};

constinit real_functions found{};  // written while the process has one thread

template <class F>
WEFT_NO_SANITIZE void look_up(F& to, F interceptor, const char* name) noexcept {
  to = interceptor != nullptr ? interceptor : reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

WEFT_NO_SANITIZE void look_up_all() noexcept {
#define WEFT_LOOK_UP(name) look_up(found.name, &__interceptor_pthread_##name, "pthread_" #name);
    WEFT_CHECKED_FUNCTIONS(WEFT_LOOK_UP)
#undef WEFT_LOOK_UP
}

// The table, if what happens now is to be noted: it happens in a fiber and not by ourselves.
held_locks* table_of_fiber() noexcept {
  const machine_words* m = this_machine();
  if (m == nullptr || m->current() == nullptr) return nullptr;
  held_locks& table = locks_of_thread;
  return table.is_busy ? nullptr : &table;
}

// Called by a wrapper, which is the one frame to be left out.
WEFT_NOINLINE void note_taken(const void* lock) noexcept {
  held_locks* table = table_of_fiber();
  if (table == nullptr || table->count == held_locks::capacity) return;
  const int error = errno;
  table->is_busy = true;  // the unwinder locks
  held_lock& entry = table->locks[table->count];
  entry.lock = lock;
  entry.owner = this_machine()->current();
  entry.frame_count = capture(entry.frames, held_lock::max_frames, 2);
  ++table->count;
  table->is_busy = false;
  errno = error;
}

WEFT_ALWAYS_INLINE int taken(const void* lock, int result) noexcept {
  if (result == 0 || result == EOWNERDEAD) note_taken(lock);
  return result;
}

// Before it is: afterwards another thread may have destroyed it and made another one there.
void note_given_back(const void* lock) noexcept {
  held_locks* table = table_of_fiber();
  if (table == nullptr) return;
  for (std::size_t i = table->count; i-- != 0;) {
    if (table->locks[i].lock != lock) continue;
    for (--table->count; i < table->count; ++i) table->locks[i] = table->locks[i + 1];
    return;
  }
}

}  // namespace

WEFT_NOINLINE held_locks& held_locks::of_thread() noexcept { return locks_of_thread; }

void held_locks::forget(const fiber* owner) noexcept {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (locks[i].owner != owner) locks[kept++] = locks[i];
  }
  count = kept;
}

}  // namespace weft::inline WEFT_ABI::detail

extern "C" {

__attribute__((section(".preinit_array"),
               used)) void (*const weft_check_looks_up)() = weft::detail::look_up_all;

#define WEFT_REAL(name)                                                             \
  (WEFT_UNLIKELY(weft::detail::found.name == nullptr) ? weft::detail::look_up_all() \
                                                      : static_cast<void>(0),       \
   weft::detail::found.name)

int pthread_mutex_lock(pthread_mutex_t* m) noexcept {
  return weft::detail::taken(m, WEFT_REAL(mutex_lock)(m));
}
int pthread_mutex_trylock(pthread_mutex_t* m) noexcept {
  return weft::detail::taken(m, WEFT_REAL(mutex_trylock)(m));
}
int pthread_mutex_timedlock(pthread_mutex_t* m, const timespec* until) noexcept {
  return weft::detail::taken(m, WEFT_REAL(mutex_timedlock)(m, until));
}
int pthread_mutex_clocklock(pthread_mutex_t* m, clockid_t clock, const timespec* until) noexcept {
  return weft::detail::taken(m, WEFT_REAL(mutex_clocklock)(m, clock, until));
}
int pthread_mutex_unlock(pthread_mutex_t* m) noexcept {
  weft::detail::note_given_back(m);
  return WEFT_REAL(mutex_unlock)(m);
}
int pthread_rwlock_rdlock(pthread_rwlock_t* l) noexcept {
  return weft::detail::taken(l, WEFT_REAL(rwlock_rdlock)(l));
}
int pthread_rwlock_tryrdlock(pthread_rwlock_t* l) noexcept {
  return weft::detail::taken(l, WEFT_REAL(rwlock_tryrdlock)(l));
}
int pthread_rwlock_timedrdlock(pthread_rwlock_t* l, const timespec* until) noexcept {
  return weft::detail::taken(l, WEFT_REAL(rwlock_timedrdlock)(l, until));
}
int pthread_rwlock_clockrdlock(pthread_rwlock_t* l, clockid_t clock,
                               const timespec* until) noexcept {
  return weft::detail::taken(l, WEFT_REAL(rwlock_clockrdlock)(l, clock, until));
}
int pthread_rwlock_wrlock(pthread_rwlock_t* l) noexcept {
  return weft::detail::taken(l, WEFT_REAL(rwlock_wrlock)(l));
}
int pthread_rwlock_trywrlock(pthread_rwlock_t* l) noexcept {
  return weft::detail::taken(l, WEFT_REAL(rwlock_trywrlock)(l));
}
int pthread_rwlock_timedwrlock(pthread_rwlock_t* l, const timespec* until) noexcept {
  return weft::detail::taken(l, WEFT_REAL(rwlock_timedwrlock)(l, until));
}
int pthread_rwlock_clockwrlock(pthread_rwlock_t* l, clockid_t clock,
                               const timespec* until) noexcept {
  return weft::detail::taken(l, WEFT_REAL(rwlock_clockwrlock)(l, clock, until));
}
int pthread_rwlock_unlock(pthread_rwlock_t* l) noexcept {
  weft::detail::note_given_back(l);
  return WEFT_REAL(rwlock_unlock)(l);
}
int pthread_spin_lock(pthread_spinlock_t* l) noexcept {
  return weft::detail::taken(const_cast<const int*>(l), WEFT_REAL(spin_lock)(l));
}
int pthread_spin_trylock(pthread_spinlock_t* l) noexcept {
  return weft::detail::taken(const_cast<const int*>(l), WEFT_REAL(spin_trylock)(l));
}
int pthread_spin_unlock(pthread_spinlock_t* l) noexcept {
  weft::detail::note_given_back(const_cast<const int*>(l));
  return WEFT_REAL(spin_unlock)(l);
}

}  // extern "C"
