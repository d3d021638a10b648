// Stack traces: of the caller, of a parked fiber, of what a signal interrupted; and names for them.
//
// Model       the unwinder of the C++ runtime walks all three by the call-frame tables, so frames
//             need no frame pointer. To begin elsewhere than at the caller, a few instructions with
//             tables of their own claim to have been called by the registers given
//             (saved_registers).
//             An address in a trace lies inside the instruction that was executing: for a call,
//             one less than the return address. It can be looked up as it is.
// Memory      only describe(), demangle() and print_stack() of demangled names allocate.
// Signals     the walks take no lock with glibc >= 2.35 and a libgcc built for it
//             (_dl_find_object); elsewhere they take the dynamic linker's lock, and a handler that
//             interrupted its holder on the same thread passes it (it is recursive), on another
//             thread waits for it. describe_raw finds the module with the same condition, and
//             reads its file.
// Unsafe      a walk trusts the stack it walks: it must not run meanwhile. Only
//             capture_frame_pointers checks each step, and needs code compiled with frame pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class report;

// The stack of the caller, innermost first, without `capture` itself and `skip` callers.
WEFT_NOINLINE std::size_t capture(void** pcs, std::size_t max, std::size_t skip = 0) noexcept;

// What a walk needs to know of a stopped stack: where it stood and the registers that calls
// preserve.
struct saved_registers {
#if defined(__aarch64__)
  static constexpr std::size_t count = 11;  // x19..x29
  static constexpr std::size_t frame_pointer = 10;
#else
  static constexpr std::size_t count = 6;  // rbx, rbp, r12..r15
  static constexpr std::size_t frame_pointer = 1;
#endif
  void* pc = nullptr;  // in the instruction that was executing; null: not known
  void* sp = nullptr;
#if defined(__aarch64__)
  void* link = nullptr;  // x30
#endif
  void* preserved[count] = {};
};

// Of a fiber that is switched away from: `context` is what the jump gave for it (the
// stack pointer at the switch). pc is null where the layout is not known.
[[nodiscard]] saved_registers registers_of_suspended(const void* context) noexcept;
// Of what a signal interrupted: the third argument of its handler. pc is exact.
[[nodiscard]] saved_registers registers_of_interrupted(const void* ucontext) noexcept;

// The stack that the registers describe, innermost first, which must stand still. Code without
// tables on a stack of a pool: by frame pointers.
std::size_t capture(const saved_registers& from, void** pcs, std::size_t max) noexcept;

// The chain of frame pointers from `fp` up; `pc` comes first. Reads only in [lower, upper).
std::size_t capture_frame_pointers(const void* fp, void* pc, const void* lower, const void* upper,
                                   void** pcs, std::size_t max) noexcept;

struct symbol {
  std::string function;           // demangled; empty: not known
  std::size_t offset = 0;         // of the address in the function
  std::string module;             // the file, without its folder
  std::size_t module_offset = 0;  // as addr2line takes it
};
[[nodiscard]] symbol describe(void* pc);

// The same without allocation: the name is mangled, and cut when too long.
struct raw_symbol {
  char function[200] = {};
  std::size_t offset = 0;
  char module[64] = {};
  std::size_t module_offset = 0;
};
[[nodiscard]] raw_symbol describe_raw(void* pc) noexcept;

// The source's form of a mangled function or type name; the name itself if it is not mangled.
[[nodiscard]] std::string demangle(const char* name);

// Two lines a frame: the function, then tab, module and offset. `raw`: without allocation.
enum class names : unsigned char { demangled, raw };
void print_stack(report& out, void* const* pcs, std::size_t count, names how);

}  // namespace weft::inline WEFT_ABI::detail
