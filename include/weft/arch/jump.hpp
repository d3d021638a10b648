// The bare jump from one stack to another: everything that a call preserves, and nothing else.
//
// Model       A suspended side is a stack pointer. At it stand the floating-point control words and
//             what else the jump keeps:
//
//               own, x86-64    | MXCSR, x87 control | rbp | where to go on | red zone | stack …
//               Boost.Context  as its jump_fcontext lays it out
//
//             The own one is inlined into whoever switches: the compiler saves only the registers
//             that it has something in. More is won by what is not there, a call that no return
//             answers: after Boost's, every return of the resumed side is predicted wrongly. A
//             yield of 41 ns became one of 25.
// Why unsafe  compilers do not know that the thread changes here: see arch/tls.hpp and switch.hpp.
// Choice      WEFT_PORTABLE_SWITCH=1 takes Boost's on x86-64 too, as all other processors do, and
//             as code with shadow stacks has to.
// Rejected    leaving by `ret`: always predicted wrongly. Loading the control words only where they
//             differ: it is storing MXCSR that costs (4 ns), and comparing comes on top.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>

#include "weft/base/config.hpp"

#if !defined(WEFT_PORTABLE_SWITCH)
#define WEFT_PORTABLE_SWITCH 0
#endif
#if defined(__x86_64__) && !defined(__ILP32__) && !defined(__SHSTK__) && !WEFT_PORTABLE_SWITCH
#define WEFT_OWN_SWITCH 1
#else
#define WEFT_OWN_SWITCH 0
#endif

namespace weft::inline WEFT_ABI::detail {

// What the side that is jumped to gets: the departed side, and a word from it.
using boost::context::detail::transfer_t;
using stack_entry = void (*)(transfer_t);

#if WEFT_OWN_SWITCH

// In words, from a suspended side's stack pointer.
inline constexpr std::size_t jump_frame_pointer_word = 1;
inline constexpr std::size_t jump_pc_word = 2;
inline constexpr std::size_t jump_words = 3 + 128 / sizeof(void*);

// Prepares a side that begins with entry(), which does not return. `top` is aligned to 16 bytes.
[[nodiscard]] void* prepare_jump(std::byte* top, std::size_t size, stack_entry entry) noexcept;

// False: nobody has jumped to the suspended side since it was prepared.
[[nodiscard]] bool has_begun(const void* side) noexcept;

[[nodiscard]] WEFT_ALWAYS_INLINE transfer_t jump(void* to, void* word) noexcept {
  void* departed;
  // The red zone is left alone: the function around may be a leaf.
  asm volatile(
      "leaq -152(%%rsp), %%rsp\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "movq %%rax, 16(%%rsp)\n\t"
      "movq %%rbp, 8(%%rsp)\n\t"
      "stmxcsr (%%rsp)\n\t"
      "fnstcw 4(%%rsp)\n\t"
      "movq %%rsp, %%rax\n\t"
      "movq %%rdi, %%rsp\n\t"
      "ldmxcsr (%%rsp)\n\t"
      "fldcw 4(%%rsp)\n\t"
      "movq 8(%%rsp), %%rbp\n\t"
      "movq 16(%%rsp), %%rcx\n\t"
      "leaq 152(%%rsp), %%rsp\n\t"
      "jmp *%%rcx\n"
      "1:\n\t"
      : "=&a"(departed), "+d"(word), "+D"(to)
      :
      : "rbx", "rcx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
        "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",
        "k7",
#endif
        "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory", "cc");
  return {departed, word};
}

#else

[[nodiscard]] inline void* prepare_jump(std::byte* top, std::size_t size,
                                        stack_entry entry) noexcept {
  return boost::context::detail::make_fcontext(top, size, entry);
}

[[nodiscard]] WEFT_ALWAYS_INLINE transfer_t jump(void* to, void* word) noexcept {
  return boost::context::detail::jump_fcontext(to, word);
}

#endif

}  // namespace weft::inline WEFT_ABI::detail
