// Nodes of the context tree: counting, linking, what handles ask them.
#include "weft/context/node.hpp"

#include <utility>

#include "weft/context/callback.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// The causes of those that were given none: one object for all, so that the cause of a descendant
// is the one of its ancestor. Never destroyed: contexts may outlive main.
const std::exception_ptr& plain_cause(errc code) {
  struct causes {
    std::exception_ptr canceled =
        std::make_exception_ptr(std::system_error(make_error_code(errc::canceled)));
    std::exception_ptr deadline_exceeded =
        std::make_exception_ptr(std::system_error(make_error_code(errc::deadline_exceeded)));
  };
  static const causes& all = *new causes;
  return code == errc::deadline_exceeded ? all.deadline_exceeded : all.canceled;
}

struct shield_node final : context_node {
  explicit shield_node(context_node* above) noexcept : context_node(above, end) {
    source = nullptr;
  }
  static void end(context_node* node) noexcept { delete static_cast<shield_node*>(node); }
};

}  // namespace

bool context_node::try_add_ref() noexcept {
  std::uint32_t n = refs.load(relaxed);  // relaxed: exchanged below
  while (n != 0) {
    // relaxed: the caller found the node under a lock that it must pass before it dies
    if (refs.compare_exchange(n, n + 1, relaxed)) return true;
  }
  return false;
}

void drop(context_node* node) noexcept {
  while (node != nullptr && node->refs.fetch_sub(1, acq_rel) == 1) {  // pairs: context.refs
    context_node* parent = node->parent;
    node->destroy(node);
    node = parent;
  }
}

context_node* make_shield(context_node* parent) { return new shield_node(parent); }

cancel_node::cancel_node(context_node* above, destroy_function ender) noexcept
    : context_node(above, ender), cancel_child(kind::node), above_(source) {
  // That of another world is on another clock.
  if (above_ != nullptr && above_->home() == home()) deadline_ = above_->deadline_;
  source = this;
}

// The last count is gone: nobody but the one above still knows it, and only if it was not fired.
cancel_node::~cancel_node() {
  if (!is_fired()) unlink();
  while (cancel_child* child = children_.pop_front()) {
    static_cast<context_callback*>(child)->drop_ref();
  }
  // relaxed: the last count orders it
  if (channel<std::monostate>* ch = done_.load(relaxed)) ch->drop_ref();
}

cancel_node* cancel_node::make(context_node* parent) {
  auto* node = new cancel_node(parent, end);
  node->add_ref();
  node->link();
  return node;
}

void cancel_node::end(context_node* node) noexcept { delete static_cast<cancel_node*>(node); }

void cancel_node::link() noexcept {
  if (above_ == nullptr) return;
  errc code{};
  std::exception_ptr cause;
  {
    lock_guard held(above_->lock_);
    if (!above_->is_fired()) {
      above_->children_.push_back(*this);
    } else {
      code = above_->code_;
      cause = above_->cause_;
    }
  }
  if (code != errc{}) {
    cancel(code, std::move(cause));
  } else if (is_fired()) {
    unlink();  // its timer came first, and found it in no list
  }
}

void cancel_node::unlink() noexcept {
  if (above_ != nullptr) above_->remove_child(*this);
}

bool cancel_node::add_child(cancel_child& child) noexcept {
  lock_guard held(lock_);
  if (is_fired()) return false;
  children_.push_back(child);
  return true;
}

bool cancel_node::remove_child(cancel_child& child) noexcept {
  lock_guard held(lock_);
  if (!child.is_linked()) return false;
  child.unlink();
  return true;
}

std::size_t cancel_node::children_for_testing() noexcept {
  lock_guard held(lock_);
  std::size_t n = 0;
  for (cancel_child* c = children_.front(); c != nullptr; c = children_.after(*c)) ++n;
  return n;
}

void cancel_node::wait_until_settled() noexcept {
  if (settled_.load(acquire)) return;  // pairs: context.settled
  // Fired just now; whoever did it holds the lock until `done` is closed.
  lock_.lock();
  lock_.unlock();
}

std::error_code cancel_node::error() noexcept {
  if (!is_fired()) return {};
  wait_until_settled();
  return make_error_code(code_);
}

std::exception_ptr cancel_node::cause() noexcept {
  if (!is_fired()) return nullptr;
  wait_until_settled();
  return cause_ != nullptr ? cause_ : plain_cause(code_);
}

channel<std::monostate>& cancel_node::done() {
  if (channel<std::monostate>* ch = done_.load(acquire)) return *ch;  // pairs: context.done
  channel<std::monostate>* made = channel<std::monostate>::make(0);
  made->move_to(home());
  channel<std::monostate>* first = nullptr;
  {
    lock_guard held(lock_);
    first = done_.load(relaxed);  // relaxed: stored under the lock only
    if (first == nullptr) {
      if (is_fired()) made->close();
      done_.store(made, release);  // pairs: context.done
    }
  }
  if (first == nullptr) return *made;
  made->drop_ref();
  return *first;
}

std::stop_token cancel_node::token() {
  {
    lock_guard held(lock_);
    if (stop_ != nullptr) return stop_->get_token();
  }
  auto made = std::make_unique<std::stop_source>();
  bool is_late = false;
  std::stop_token result;
  {
    lock_guard held(lock_);
    if (stop_ == nullptr) {
      stop_ = std::move(made);
      is_late = is_fired();
    }
    result = stop_->get_token();
  }
  // The walk did not see it.
  if (is_late) stop_->request_stop();
  return result;
}

}  // namespace weft::inline WEFT_ABI::detail
