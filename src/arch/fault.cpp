// The hook behind the fault injection seam.
#include "weft/arch/fault.hpp"

namespace weft::inline WEFT_ABI::detail {

constinit atomic<fault_hook> current_fault_hook{nullptr};

void set_fault_hook_for_testing(fault_hook hook) noexcept {
  current_fault_hook.store(hook, relaxed);  // relaxed: see injected_fault
}

}  // namespace weft::inline WEFT_ABI::detail
