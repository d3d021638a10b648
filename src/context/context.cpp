// What the layers below know of a context: its waitable core and its error.
#include "weft/context.hpp"

namespace weft::inline WEFT_ABI::detail {

cancel_source* source_of(const context& ctx) noexcept {
  context_node* node = context_access::node(ctx);
  return node == nullptr ? nullptr : node->source;
}

std::error_code error_of(const context& ctx) noexcept { return ctx.err(); }

}  // namespace weft::inline WEFT_ABI::detail
