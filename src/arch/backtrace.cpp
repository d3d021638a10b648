// Walking stacks with the C++ runtime's unwinder, from the caller or from saved registers.
#include "weft/arch/backtrace.hpp"

#include <ucontext.h>
#include <unwind.h>

#include "weft/arch/jump.hpp"
#include "weft/arch/no_sanitize.hpp"
#include "weft/arch/stack.hpp"
#include "weft/arch/valgrind.hpp"

// What a function that was entered by no call needs to be the caller of a walk: a frame whose
// tables say that each register is to be found in the saved_registers that rdi (x0) points at. The
// unwinder then believes that this frame was called at their pc. Marked as a signal's frame, so
// that the pc is looked up as it is and not as a return address.
//
//   DW_CFA_def_cfa_expression 0x0f, DW_CFA_expression 0x10 register; then length and operations:
//   DW_OP_breg3 0x73 (rbx), DW_OP_breg19 0x83 (x19) with an offset, DW_OP_deref 0x06
#if defined(__ELF__) && defined(__x86_64__) && !defined(__ILP32__)
#define WEFT_CAN_WALK_FROM 1
asm(R"(
        .pushsection .text.weft_walk_from, "ax", @progbits
        .globl  weft_walk_from
        .hidden weft_walk_from
        .type   weft_walk_from, @function
        .p2align 4
weft_walk_from:
        .cfi_startproc
        .cfi_signal_frame
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        movq    %rdi, %rbx
        movq    %rdx, %rdi
        .cfi_remember_state
        .cfi_escape 0x0f, 3, 0x73, 8, 0x06
        .cfi_escape 0x10, 16, 2, 0x73, 0
        .cfi_escape 0x10, 3, 2, 0x73, 16
        .cfi_escape 0x10, 6, 2, 0x73, 24
        .cfi_escape 0x10, 12, 2, 0x73, 32
        .cfi_escape 0x10, 13, 2, 0x73, 40
        .cfi_escape 0x10, 14, 2, 0x73, 48
        .cfi_escape 0x10, 15, 2, 0x73, 56
        call    *%rsi
        .cfi_restore_state
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret
        .cfi_endproc
        .size   weft_walk_from, . - weft_walk_from
        .popsection
)");
#elif defined(__ELF__) && defined(__aarch64__)
#define WEFT_CAN_WALK_FROM 1
// Column 96 holds the pc, since x30 may be live in what was interrupted.
asm(R"(
        .pushsection .text.weft_walk_from, "ax", %progbits
        .globl  weft_walk_from
        .hidden weft_walk_from
        .type   weft_walk_from, %function
        .p2align 2
weft_walk_from:
        .cfi_startproc
        .cfi_signal_frame
        .cfi_return_column 96
        stp     x29, x30, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_offset x29, -32
        .cfi_offset x30, -24
        str     x19, [sp, #16]
        .cfi_offset x19, -16
        mov     x19, x0
        mov     x0, x2
        .cfi_remember_state
        .cfi_escape 0x0f, 3, 0x83, 8, 0x06
        .cfi_escape 0x10, 96, 2, 0x83, 0
        .cfi_escape 0x10, 30, 2, 0x83, 16
        .cfi_escape 0x10, 19, 2, 0x83, 24
        .cfi_escape 0x10, 20, 2, 0x83, 32
        .cfi_escape 0x10, 21, 2, 0x83, 40
        .cfi_escape 0x10, 22, 2, 0x83, 48
        .cfi_escape 0x10, 23, 2, 0x83, 56
        .cfi_escape 0x10, 24, 3, 0x83, 0xc0, 0
        .cfi_escape 0x10, 25, 3, 0x83, 0xc8, 0
        .cfi_escape 0x10, 26, 3, 0x83, 0xd0, 0
        .cfi_escape 0x10, 27, 3, 0x83, 0xd8, 0
        .cfi_escape 0x10, 28, 3, 0x83, 0xe0, 0
        .cfi_escape 0x10, 29, 3, 0x83, 0xe8, 0
        blr     x1
        .cfi_restore_state
        ldr     x19, [sp, #16]
        ldp     x29, x30, [sp], #32
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   weft_walk_from, . - weft_walk_from
        .popsection
)");
#else
#define WEFT_CAN_WALK_FROM 0
#endif

extern "C" {
// Of the unwinder: the table entry of the function that `pc` is in, or null.
struct dwarf_eh_bases {
  void* text;
  void* data;
  void* function;
};
const void* _Unwind_Find_FDE(void* pc, dwarf_eh_bases* bases);
#if WEFT_CAN_WALK_FROM
void weft_walk_from(const void* registers, void (*walk)(void*), void* argument);
#endif
}

namespace weft::inline WEFT_ABI::detail {
namespace {

struct trace {
  void** pcs;
  std::size_t max;
  std::size_t skip;
  std::size_t count = 0;
};

_Unwind_Reason_Code on_frame(_Unwind_Context* context, void* argument) {
  auto& t = *static_cast<trace*>(argument);
  int is_exact = 0;
  const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &is_exact));
  if (pc == 0) return _URC_END_OF_STACK;
  if (t.skip != 0) {
    --t.skip;
    return _URC_NO_REASON;
  }
  if (t.count == t.max) return _URC_END_OF_STACK;
  t.pcs[t.count++] = reinterpret_cast<void*>(is_exact != 0 ? pc : pc - 1);
  return _URC_NO_REASON;
}

[[nodiscard]] bool has_tables(void* pc) noexcept {
  dwarf_eh_bases bases;
  return pc != nullptr && _Unwind_Find_FDE(pc, &bases) != nullptr;
}

#if WEFT_CAN_WALK_FROM
WEFT_NOINLINE void walk_for_saved(void* argument) {
  _Unwind_Backtrace(&on_frame, argument);
  asm volatile("" ::: "memory");  // not a tail call: this frame is counted
}
#endif

#if !WEFT_OWN_SWITCH
// Where Boost's jump keeps the pc, in words from the context; 0: not found. Its versions differ in
// that, but everywhere the preserved registers stand right below it.
std::size_t pc_word = 0;

WEFT_NO_SANITIZE std::size_t find_pc_word(const void* context) noexcept;

WEFT_NO_SANITIZE void report_layout(transfer_t t) {
  pc_word = find_pc_word(t.fctx);
  static_cast<void>(jump(t.fctx, nullptr));
}

// Switches away once and lets the other side find an address of this function in what was saved.
WEFT_NOINLINE WEFT_NO_SANITIZE bool probe_layout() noexcept {
  alignas(64) static unsigned char stack[16 * 1024];
  const unsigned id = stack_is_there(stack, stack + sizeof(stack) - 1);
  auto* top = reinterpret_cast<std::byte*>(stack) + sizeof(stack);
  static_cast<void>(jump(prepare_jump(top, sizeof(stack), &report_layout), nullptr));
  stack_is_gone(id);
  return pc_word != 0;
}

WEFT_NO_SANITIZE std::size_t find_pc_word(const void* context) noexcept {
  constexpr std::size_t most_words = 24;
  constexpr std::uintptr_t most_code = 1024;
  const auto begin = reinterpret_cast<std::uintptr_t>(&probe_layout);
  const auto* words = static_cast<const std::uintptr_t*>(context);
  for (std::size_t i = saved_registers::count; i < most_words; ++i) {
    if (words[i] - begin < most_code) return i;
  }
  return 0;
}

// Before main: later the first use may be in a signal handler, or on a small stack.
const bool layout_is_known = probe_layout();
#endif

}  // namespace

std::size_t capture(void** pcs, std::size_t max, std::size_t skip) noexcept {
  trace t{pcs, max, skip + 1};
  _Unwind_Backtrace(&on_frame, &t);
  return t.count;
}

saved_registers registers_of_suspended(const void* context) noexcept {
  saved_registers r;
  if (context == nullptr) return r;
  void* const* const words = static_cast<void* const*>(context);
#if WEFT_OWN_SWITCH
  if (!has_begun(context)) return r;
  constexpr std::size_t pc_word = jump_pc_word;
#else
  if (!layout_is_known) return r;
#endif
  void* const resumes_at = words[pc_word];
  if (resumes_at == nullptr) return r;
  void* const call = static_cast<char*>(resumes_at) - 1;
  if (!has_tables(call)) return r;  // never run, or not a context at all
  r.pc = call;
#if WEFT_OWN_SWITCH
  // All others stand in the frame of whoever jumped.
  r.sp = const_cast<void**>(words + jump_words);
  r.preserved[1] = words[jump_frame_pointer_word];
#elif defined(__x86_64__)
  r.sp = const_cast<void**>(words + pc_word + 1);
  r.preserved[0] = words[pc_word - 2];  // rbx
  r.preserved[1] = words[pc_word - 1];  // rbp
  for (std::size_t i = 2; i < saved_registers::count; ++i) {
    r.preserved[i] = words[pc_word - 8 + i];  // r12..r15
  }
#elif defined(__aarch64__)
  // The link register comes first and is the pc; then the pc itself and a word of padding.
  r.sp = const_cast<void**>(words + pc_word + 3);
  r.link = resumes_at;
  for (std::size_t i = 0; i < saved_registers::count; ++i) {
    r.preserved[i] = words[pc_word - saved_registers::count + i];  // x19..x29
  }
#endif
  return r;
}

saved_registers registers_of_interrupted(const void* ucontext) noexcept {
  saved_registers r;
  const auto& machine = static_cast<const ucontext_t*>(ucontext)->uc_mcontext;
#if defined(__linux__) && defined(__x86_64__)
  const auto at = [&](int i) { return reinterpret_cast<void*>(machine.gregs[i]); };
  r.pc = at(REG_RIP);
  r.sp = at(REG_RSP);
  constexpr int preserved[] = {REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15};
  for (std::size_t i = 0; i < saved_registers::count; ++i) r.preserved[i] = at(preserved[i]);
#elif defined(__linux__) && defined(__aarch64__)
  r.pc = reinterpret_cast<void*>(machine.pc);
  r.sp = reinterpret_cast<void*>(machine.sp);
  r.link = reinterpret_cast<void*>(machine.regs[30]);
  for (std::size_t i = 0; i < saved_registers::count; ++i) {
    r.preserved[i] = reinterpret_cast<void*>(machine.regs[19 + i]);
  }
#else
  static_cast<void>(machine);
#endif
  return r;
}

std::size_t capture(const saved_registers& from, void** pcs, std::size_t max) noexcept {
  if (from.pc == nullptr || max == 0) return 0;
#if WEFT_CAN_WALK_FROM
  if (has_tables(from.pc)) {
    constexpr std::size_t frames_of_the_walk = 2;
    trace t{pcs, max, frames_of_the_walk};
    weft_walk_from(&from, &walk_for_saved, &t);
    return t.count;
  }
#endif
  stack_place place;
  if (find_stack(from.sp, place)) {
    const void* fp = from.preserved[saved_registers::frame_pointer];
    return capture_frame_pointers(fp, from.pc, from.sp, place.in.top, pcs, max);
  }
  pcs[0] = from.pc;
  return 1;
}

WEFT_NO_SANITIZE std::size_t capture_frame_pointers(const void* fp, void* pc, const void* lower,
                                                    const void* upper, void** pcs,
                                                    std::size_t max) noexcept {
  std::size_t count = 0;
  if (pc != nullptr && count < max) pcs[count++] = pc;
  auto at = reinterpret_cast<std::uintptr_t>(fp);
  auto least = reinterpret_cast<std::uintptr_t>(lower);
  const auto end = reinterpret_cast<std::uintptr_t>(upper);
  constexpr std::uintptr_t frame_size = 2 * sizeof(void*);
  while (count < max && at >= least && at <= end - frame_size && at % sizeof(void*) == 0) {
    const auto* frame = reinterpret_cast<const std::uintptr_t*>(at);
    if (frame[1] == 0) break;
    pcs[count++] = reinterpret_cast<void*>(frame[1] - 1);
    least = at + frame_size;  // callers lie above: no loop
    at = frame[0];
  }
  return count;
}

}  // namespace weft::inline WEFT_ABI::detail
