// Contexts that are cancelled by a std::stop_token.
#include <utility>

#include "weft/context/node.hpp"

namespace weft::inline WEFT_ABI::detail {

token_node::token_node() noexcept : cancel_node(nullptr, end) {}

// Ends the registration, and waits for a callback that runs in another thread; one that runs in
// this thread is the caller.
void token_node::end(context_node* node) noexcept { delete static_cast<token_node*>(node); }

cancel_node* token_node::make(std::stop_token token) {
  auto* node = new token_node;
  node->registration_.emplace(std::move(token), on_stop{node});
  return node;
}

void token_node::on_stop::operator()() const noexcept {
  token_node* self = node;  // *this may die with the last count
  if (!self->try_add_ref()) return;
  self->cancel(errc::canceled, nullptr);
  drop(self);
}

}  // namespace weft::inline WEFT_ABI::detail
