// What instrumented code calls for each access to memory: in place of ThreadSanitizer's runtime,
// counts as the caches of the simulated cores would see it.
//
// Not instrumented itself. The names are the compilers' (GCC and Clang): reads and writes, and the
// atomic operations, which are carried out here.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "simulation.hpp"

namespace simulation {

namespace {

constexpr std::uintptr_t line_bytes = 64;

struct line {
  std::array<std::uint64_t, most_threads / 64> in_caches_of{};
  std::uint64_t written = 0;                          // while it was shared
  std::unordered_map<const void*, std::uint64_t> by;  // the code that did, if that is wanted
};

struct memory {
  std::unordered_map<std::uintptr_t, line> lines;
  counts so_far;
  std::uintptr_t own_begin = 0;
  std::uintptr_t own_end = 0;
  bool notes_code = false;
};

memory& the() {
  static memory m;
  return m;
}

void touch(line& l, bool writes, const void* code) {
  const unsigned self = this_thread();
  const std::uint64_t bit = std::uint64_t{1} << (self % 64);
  bool is_mine = false;
  bool is_others = false;
  for (std::size_t i = 0; i < l.in_caches_of.size(); ++i) {
    const std::uint64_t mine = i == self / 64 ? bit : 0;
    is_mine |= (l.in_caches_of[i] & mine) != 0;
    is_others |= (l.in_caches_of[i] & ~mine) != 0;
  }
  counts& c = the().so_far;
  if (writes && is_others) {
    ++c.written;
    if (++l.written > c.busiest) c.busiest = l.written;
    l.in_caches_of = {};
    if (the().notes_code) ++l.by[code];
  } else if (!writes && is_others && !is_mine) {
    ++c.fetched;
  }
  l.in_caches_of[self / 64] |= bit;
}

void count(std::uintptr_t at, std::size_t bytes, bool writes, bool is_locked, const void* code) {
  if (!is_running()) return;
  memory& m = the();
  if (is_locked) ++m.so_far.locked;
  if (bytes != 0 && (at < m.own_begin || at >= m.own_end)) {
    for (std::uintptr_t l = at / line_bytes; l <= (at + bytes - 1) / line_bytes; ++l)
      touch(m.lines[l], writes, code);
  }
  access_done();
}

// Inlined into what the code calls: so the return address is the code's.
[[gnu::always_inline]] inline void access(const volatile void* at, std::size_t bytes, bool writes,
                                          bool is_locked = false) {
  count(reinterpret_cast<std::uintptr_t>(at), bytes, writes, is_locked,
        __builtin_return_address(0));
}

}  // namespace

counts accesses_so_far() noexcept { return the().so_far; }

void forget_busiest_line() noexcept {
  the().so_far.busiest = 0;
  for (auto& [address, l] : the().lines) {
    l.written = 0;
    l.by.clear();
  }
}

void set_own_place(const void* begin, const void* end) noexcept {
  the().own_begin = reinterpret_cast<std::uintptr_t>(begin);
  the().own_end = reinterpret_cast<std::uintptr_t>(end);
}

void note_code() noexcept { the().notes_code = true; }

void print_busiest_lines(std::uint64_t least) {
  std::vector<std::pair<std::uintptr_t, const line*>> all;
  for (const auto& [address, l] : the().lines)
    if (l.written >= least) all.emplace_back(address, &l);
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.second->written > b.second->written; });
  Dl_info program{};
  dladdr(reinterpret_cast<const void*>(&print_busiest_lines), &program);
  for (const auto& [address, l] : all) {
    std::printf("line %#zx: written %llu times while it was shared\n", address * line_bytes,
                static_cast<unsigned long long>(l->written));
    for (const auto& [code, times] : l->by) {
      std::printf("  %#zx\t%llu\n",
                  static_cast<std::size_t>(static_cast<const char*>(code) -
                                           static_cast<const char*>(program.dli_fbase)),
                  static_cast<unsigned long long>(times));
    }
  }
}

}  // namespace simulation

using simulation::access;

// A store is a plain instruction but where the order of all of them is asked for.
static bool is_locked_store(int order) { return order == __ATOMIC_SEQ_CST; }

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

#define WEFT_PLAIN_ACCESS(bytes)                                            \
  void __tsan_read##bytes(void* at) { access(at, bytes, false); }           \
  void __tsan_write##bytes(void* at) { access(at, bytes, true); }           \
  void __tsan_unaligned_read##bytes(void* at) { access(at, bytes, false); } \
  void __tsan_unaligned_write##bytes(void* at) { access(at, bytes, true); } \
  void __tsan_read_write##bytes(void* at) { access(at, bytes, true); }      \
  void __tsan_unaligned_read_write##bytes(void* at) { access(at, bytes, true); }
WEFT_PLAIN_ACCESS(1)
WEFT_PLAIN_ACCESS(2)
WEFT_PLAIN_ACCESS(4)
WEFT_PLAIN_ACCESS(8)
WEFT_PLAIN_ACCESS(16)
#undef WEFT_PLAIN_ACCESS

void __tsan_read_range(void* at, std::size_t bytes) { access(at, bytes, false); }
void __tsan_write_range(void* at, std::size_t bytes) { access(at, bytes, true); }
void __tsan_vptr_update(void** at, void*) { access(at, sizeof *at, true); }
void __tsan_vptr_read(void** at) { access(at, sizeof *at, false); }

void* __tsan_memcpy(void* to, const void* from, std::size_t bytes) {
  access(from, bytes, false);
  access(to, bytes, true);
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, std::size_t bytes) {
  access(from, bytes, false);
  access(to, bytes, true);
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* at, int value, std::size_t bytes) {
  access(at, bytes, true);
  return std::memset(at, value, bytes);
}

void __tsan_atomic_thread_fence(int order) { access(nullptr, 0, false, order == __ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

// The order of the real operation is the strongest: all threads are one.
#define WEFT_MODIFY(bits, type, name)                                           \
  type __tsan_atomic##bits##_fetch_##name(volatile type* at, type value, int) { \
    access(at, sizeof(type), true, true);                                       \
    return __atomic_fetch_##name(at, value, __ATOMIC_SEQ_CST);                  \
  }
#define WEFT_COMPARE(bits, type, name)                                                             \
  int __tsan_atomic##bits##_compare_exchange_##name(volatile type* at, type* expected, type value, \
                                                    int, int) {                                    \
    access(at, sizeof(type), true, true);                                                          \
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST,               \
                                       __ATOMIC_SEQ_CST);                                          \
  }
#define WEFT_ATOMIC(bits, type)                                                                   \
  type __tsan_atomic##bits##_load(const volatile type* at, int) {                                 \
    access(at, sizeof(type), false);                                                              \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                 \
  }                                                                                               \
  void __tsan_atomic##bits##_store(volatile type* at, type value, int order) {                    \
    access(at, sizeof(type), true, is_locked_store(order));                                       \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                \
  }                                                                                               \
  type __tsan_atomic##bits##_exchange(volatile type* at, type value, int) {                       \
    access(at, sizeof(type), true, true);                                                         \
    return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                      \
  }                                                                                               \
  WEFT_MODIFY(bits, type, add)                                                                    \
  WEFT_MODIFY(bits, type, sub)                                                                    \
  WEFT_MODIFY(bits, type, and)                                                                    \
  WEFT_MODIFY(bits, type, or)                                                                     \
  WEFT_MODIFY(bits, type, xor)                                                                    \
  WEFT_COMPARE(bits, type, strong)                                                                \
  WEFT_COMPARE(bits, type, weak)                                                                  \
  type __tsan_atomic##bits##_compare_exchange_val(volatile type* at, type expected, type value,   \
                                                  int, int) {                                     \
    access(at, sizeof(type), true, true);                                                         \
    __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    return expected;                                                                              \
  }
WEFT_ATOMIC(8, std::uint8_t)
WEFT_ATOMIC(16, std::uint16_t)
WEFT_ATOMIC(32, std::uint32_t)
WEFT_ATOMIC(64, std::uint64_t)
#undef WEFT_ATOMIC
#undef WEFT_COMPARE
#undef WEFT_MODIFY

}  // extern "C"
