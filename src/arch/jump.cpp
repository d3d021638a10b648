// The first frame of a stack that the own jump enters.
#include "weft/arch/jump.hpp"

#if WEFT_OWN_SWITCH

#include <cstdint>
#include <new>

namespace weft::inline WEFT_ABI::detail {
namespace {

// Arrives as jump() does, with the entry's address on the stack: calls it, with no caller.
[[gnu::naked]] void begin() {
  asm(".cfi_undefined rip\n\t"
      "popq %rcx\n\t"
      "movq %rax, %rdi\n\t"
      "movq %rdx, %rsi\n\t"
      "pushq $0\n\t"
      "jmp *%rcx");
}

}  // namespace

void* prepare_jump(std::byte* top, std::size_t, stack_entry entry) noexcept {
  // A frame that has no caller. A profiler's signal between the jump's last instructions finds the
  // frame pointer of the new side, and takes it for one of the function that jumps.
  auto* const frame = reinterpret_cast<void**>(top) - 2;
  frame[0] = nullptr;
  frame[1] = nullptr;
  // Where the entry's address stands: the stack is aligned as after a call once it is popped and
  // the caller's address, none, pushed.
  std::byte* const start = top - 5 * sizeof(void*);
  ::new (static_cast<void*>(start)) stack_entry(entry);
  auto* const words = reinterpret_cast<void**>(start) - jump_words;
  std::uint32_t mxcsr;
  std::uint16_t control;
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
  words[0] = reinterpret_cast<void*>(std::uintptr_t{mxcsr} | std::uintptr_t{control} << 32U);
  words[jump_frame_pointer_word] = frame;
  words[jump_pc_word] = reinterpret_cast<void*>(&begin);
  return words;
}

bool has_begun(const void* side) noexcept {
  return static_cast<void* const*>(side)[jump_pc_word] != reinterpret_cast<void*>(&begin);
}

}  // namespace weft::inline WEFT_ABI::detail

#endif
