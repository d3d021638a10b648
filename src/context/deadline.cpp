// Contexts with a deadline of their own.
#include <new>
#include <utility>

#include "weft/context/node.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

// Walks the tree in a fiber, for a node that has children when its time has come.
class deadline_node::expiry {
 public:
  // Takes over a count.
  explicit expiry(deadline_node& node) noexcept : node_(node) {}
  ~expiry() { drop(&node_); }
  expiry(const expiry&) = delete;
  expiry& operator=(const expiry&) = delete;

  void operator()() const noexcept { node_.cancel(errc::deadline_exceeded, node_.expiry_cause_); }

 private:
  deadline_node& node_;
};

deadline_node::deadline_node(context_node* above, std::int64_t due,
                             std::exception_ptr cause) noexcept
    : cancel_node(above, end), expiry_cause_(std::move(cause)) {
  own_timer_.fire = on_timer;
  own_timer_.owner = this;
  timer_ = &own_timer_;
  deadline_ = due;
}

void deadline_node::end(context_node* node) noexcept {
  auto* self = static_cast<deadline_node*>(node);
  disarm(self->own_timer_);
  delete self;
}

cancel_node* deadline_node::make(context_node* parent, std::int64_t due, bool is_past,
                                 std::exception_ptr cause) {
  cancel_node* above = parent == nullptr ? nullptr : parent->source;
  // Of another bubble: its deadline is on another clock.
  const bool is_comparable = above != nullptr && above->home() == bubble_of_caller();
  if (due == never || (is_comparable && above->deadline() <= due)) {
    return cancel_node::make(parent);
  }
  auto* node = new deadline_node(parent, due, std::move(cause));
  node->add_ref();
  if (is_past || (above != nullptr && above->is_fired())) {
    node->link();
    node->cancel(errc::deadline_exceeded, node->expiry_cause_);
    return node;
  }
  try {
    node->home_ = &scheduler::of_caller();
    arm(node->own_timer_, due);
  } catch (...) {
    drop(node);
    drop(node);
    throw;
  }
  node->link();
  return node;
}

std::int64_t deadline_node::on_timer(timer_node& timer, std::int64_t now) noexcept {
  deadline_node& node = *static_cast<deadline_timer&>(timer).owner;
  if (node.cancel_leaf(errc::deadline_exceeded, node.expiry_cause_) != leaf::has_children) {
    return never;
  }
  try {
    fiber_attributes attributes;
    attributes.home = node.home_;
    attributes.service = true;
    const new_fiber made =
        create_fiber(callable_type_of<expiry>, std::source_location::current(), attributes);
    // A node without a count is about to die, and waits for this function to return.
    if (!node.try_add_ref()) {
      discard(made.f);
      return never;
    }
    ::new (made.callable) expiry(node);
    submit(made.f);
  } catch (const std::bad_alloc&) {
    return node.own_timer_.retry.after_refusal(now);
  }
  return never;
}

}  // namespace weft::inline WEFT_ABI::detail
