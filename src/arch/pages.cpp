// Mapping, guards and advice by the system calls of POSIX and Linux.
#include "weft/arch/pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>

#include "weft/arch/atomic.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/sanitizer.hpp"
#include "weft/arch/valgrind.hpp"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::size_t huge_page = std::size_t{2} * 1024 * 1024;

#if defined(MAP_STACK)
constexpr int stack_flags = MAP_NORESERVE | MAP_STACK;
#else
constexpr int stack_flags = MAP_NORESERVE;
#endif

std::size_t round_up(std::size_t n, std::size_t unit) noexcept {
  return (n + unit - 1) / unit * unit;
}

std::byte* map(void* wish, std::size_t bytes, int flags) noexcept {
  if (int error = injected_fault("mmap"); error != 0) {
    errno = error;
    return nullptr;
  }
  void* start =
      ::mmap(wish, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return start == MAP_FAILED ? nullptr : static_cast<std::byte*>(start);
}

bool is_aligned(const std::byte* p, std::size_t alignment) noexcept {
  return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

// Maps more than asked for and cuts off what lies before and behind the aligned part.
std::byte* map_aligned(std::size_t bytes, std::size_t alignment, int flags) noexcept {
  const std::size_t slack = alignment - page_size();
  if (bytes > SIZE_MAX - slack) {
    errno = ENOMEM;
    return nullptr;
  }
  std::byte* start = map(nullptr, bytes + slack, flags);
  if (start == nullptr) return nullptr;
  const std::size_t before =
      (alignment - reinterpret_cast<std::uintptr_t>(start) % alignment) % alignment;
  if (before != 0) unmap_pages(start, before);
  if (slack != before) unmap_pages(start + before + bytes, slack - before);
  return start + before;
}

bool advise(void* start, std::size_t bytes, int advice) noexcept {
  return may_fail("madvise", [&] { return ::madvise(start, bytes, advice); }) == 0;
}

bool retries(int error) noexcept { return error == EINTR || error == EAGAIN; }

#if defined(__linux__)

constexpr int advice_guard_install = 102;  // MADV_GUARD_INSTALL, not in older headers
constexpr int self_process = -10001;       // PIDFD_SELF_THREAD_GROUP, since Linux 6.15
constexpr int most_tries = 16;             // of a call that a signal interrupts

// relaxed: a hint; a thread that misses it makes one call in vain
constinit atomic<bool> batches_refused{false};

bool install_light_guard(std::byte* start, std::size_t bytes) noexcept {
  for (int tries = 0; tries < most_tries; ++tries) {
    if (advise(start, bytes, advice_guard_install)) return true;
    if (!retries(errno)) return false;
  }
  return false;
}

// How many guards one call made, from the first on; 0.5 us each instead of 0.85.
std::size_t install_light_guard_batch(std::byte* first, std::size_t stride, std::size_t count,
                                      std::size_t guard_bytes) noexcept {
#if defined(SYS_process_madvise)
  constexpr std::size_t most = 64;
  if (count < 2 || batches_refused.load(relaxed)) return 0;  // relaxed: a hint, see there
  iovec ranges[most];
  const std::size_t n = std::min(count, most);
  for (std::size_t i = 0; i < n; ++i) ranges[i] = {first + i * stride, guard_bytes};
  int error = injected_fault("process_madvise");
  long done = -1;
  if (error == 0) {
    done = ::syscall(SYS_process_madvise, self_process, ranges, n, advice_guard_install, 0);
    error = errno;
  }
  if (done >= 0) return static_cast<std::size_t>(done) / guard_bytes;
  // relaxed: a hint, see there
  if (!retries(error) && error != ENOMEM) batches_refused.store(true, relaxed);
  return 0;
#else
  static_cast<void>(first), static_cast<void>(stride), static_cast<void>(count);
  static_cast<void>(guard_bytes);
  return 0;
#endif
}

std::size_t install_light_guards(std::byte* first, std::size_t stride, std::size_t count,
                                 std::size_t guard_bytes) noexcept {
  std::size_t made = 0;
  while (made < count) {
    std::byte* next = first + made * stride;
    std::size_t n = install_light_guard_batch(next, stride, count - made, guard_bytes);
    if (n == 0) {
      if (!install_light_guard(next, guard_bytes)) break;
      n = 1;
    }
    made += n;
  }
  return made;
}

bool is_readable(const std::byte* p, bool& known) noexcept {
  std::byte copy;
  iovec to{&copy, 1};
  iovec from{const_cast<std::byte*>(p), 1};
  const long n = may_fail("process_vm_readv",
                          [&] { return ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0); });
  known = n == 1 || errno == EFAULT;
  return n == 1;
}

// Installs one guard and looks whether it faults and its neighbour does not.
bool light_guards_work() noexcept {
  if (runs_on_valgrind()) return false;  // see valgrind.hpp
  const std::size_t page = page_size();
  std::byte* pages = map(nullptr, 2 * page, 0);
  if (pages == nullptr) return false;
  bool works = false;
  if (install_light_guard(pages, page)) {
    bool known = false;
    bool neighbour_known = false;
    const bool faults = !is_readable(pages, known);
    works = is_readable(pages + page, neighbour_known) && faults && known && neighbour_known;
  }
  unmap_pages(pages, 2 * page);
  return works;
}

// The process's limit of mappings; the kernel's default if it does not tell.
std::size_t mapping_limit() noexcept {
  std::size_t limit = 65530;
  const int file =
      may_fail("open", [] { return ::open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC); });
  if (file < 0) return limit;
  char text[32];
  const ssize_t n = may_fail("read", [&] { return ::read(file, text, sizeof text); });
  ::close(file);
  std::size_t value = 0;
  if (n > 0 && std::from_chars(text, text + n, value).ec == std::errc{} && value != 0) {
    limit = value;
  }
  return limit;
}

#else

bool light_guards_work() noexcept { return false; }

std::size_t install_light_guards(std::byte*, std::size_t, std::size_t, std::size_t) noexcept {
  return 0;
}

std::size_t mapping_limit() noexcept { return SIZE_MAX; }

#endif

// relaxed: set by tests before they make pools
constinit atomic<std::size_t> forced_protection_limit{0};
// relaxed: only the sum counts, nothing is published by it
constinit atomic<std::size_t> protection_guards{0};

// A guard splits a mapping into three. A twelfth of the limit is left to the rest of the program.
std::size_t most_protection_guards() noexcept {
  static const std::size_t found = [] {
    const std::size_t limit = mapping_limit();
    return (limit - limit / 12) / 2;
  }();
  const std::size_t forced = forced_protection_limit.load(relaxed);  // relaxed: see there
  return forced != 0 ? forced : found;
}

bool count_protection_guard() noexcept {
  // relaxed: see there
  if (protection_guards.fetch_add(1, relaxed) < most_protection_guards()) return true;
  protection_guards.fetch_sub(1, relaxed);  // relaxed: see there
  return false;
}

bool protect(std::byte* start, std::size_t bytes) noexcept {
  if (!count_protection_guard()) {
    errno = ENOMEM;
    return false;
  }
  int error = injected_fault("mprotect");
  if (error == 0 && ::mprotect(start, bytes, PROT_NONE) != 0) error = errno;
  if (error == 0) return true;
  protection_guards.fetch_sub(1, relaxed);  // relaxed: see there
  errno = error;
  return false;
}

}  // namespace

std::size_t page_size() noexcept {
  static const std::size_t size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

void* map_pages(std::size_t bytes) noexcept { return map(nullptr, bytes, 0); }

void* map_records(std::size_t bytes) noexcept {
  const std::size_t rounded = round_up(bytes, huge_page);
  std::byte* start = map_aligned(rounded, huge_page, 0);
#if defined(MADV_HUGEPAGE)
  // Refused: they are small pages.
  if (start != nullptr) static_cast<void>(advise(start, rounded, MADV_HUGEPAGE));
#endif
  return start;
}

std::byte* map_stacks(std::size_t bytes, std::size_t alignment, std::byte* wish) noexcept {
  std::byte* start = map(wish, bytes, stack_flags);
  if (start == nullptr) return nullptr;
  if (!is_aligned(start, alignment)) {
    unmap_pages(start, bytes);
    start = map_aligned(bytes, alignment, stack_flags);
    if (start == nullptr) return nullptr;
  }
#if defined(MADV_NOHUGEPAGE)
  // A fiber of one page must not become one of 2 MiB. Refused by a kernel without huge pages.
  static_cast<void>(advise(start, bytes, MADV_NOHUGEPAGE));
#endif
  return start;
}

// To unmap a part of a mapping may take one more mapping than there may be: then the addresses are
// lost, but not the memory.
void unmap_pages(void* start, std::size_t bytes) noexcept {
  if (may_fail("munmap", [&] { return ::munmap(start, bytes); }) != 0) discard_pages(start, bytes);
}

void unmap_records(void* start, std::size_t bytes) noexcept {
  unmap_pages(start, round_up(bytes, huge_page));
}

void register_leak_roots(void* start, std::size_t bytes) noexcept {
  if (has_leak_sanitizer()) __lsan_register_root_region(start, bytes);
}
void unregister_leak_roots(void* start, std::size_t bytes) noexcept {
  if (has_leak_sanitizer()) __lsan_unregister_root_region(start, bytes);
}

void discard_pages(void* start, std::size_t bytes) noexcept {
  // Refused for memory that the program has locked: it stays.
  static_cast<void>(advise(start, bytes, MADV_DONTNEED));
}

guard_kind guards_in_use() noexcept {
  static const bool light = light_guards_work();
  // relaxed: see there
  return light && forced_protection_limit.load(relaxed) == 0 ? guard_kind::light
                                                             : guard_kind::protection;
}

std::size_t install_guards(std::byte* first, std::size_t stride, std::size_t count,
                           std::size_t guard_bytes) noexcept {
  if (guards_in_use() == guard_kind::light) {
    return install_light_guards(first, stride, count, guard_bytes);
  }
  std::size_t made = 0;
  while (made < count && protect(first + made * stride, guard_bytes)) ++made;
  return made;
}

void forget_guards(std::size_t count) noexcept {
  if (guards_in_use() == guard_kind::protection) {
    protection_guards.fetch_sub(count, relaxed);  // relaxed: see there
  }
}

void force_protection_guards_for_testing(std::size_t limit) noexcept {
  forced_protection_limit.store(limit, relaxed);  // relaxed: see there
}

}  // namespace weft::inline WEFT_ABI::detail
