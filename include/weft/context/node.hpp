// The nodes that context handles refer to: cancellable ones, carriers of values, shields.
//
// Model       a handle counts a node, a node counts its parent; background is the null pointer.
//             Each node knows the nearest one at or above it that can be cancelled, and the nearest
//             that carries a value, so that neither look-up walks through the other kind.
//
//             A cancel_node stands in the list of children of the cancel_node above it, which does
//             not count it: it leaves the list when it is cancelled or dies. Callbacks of
//             after_func stand there too; those are counted.
//
//             cancel() fires the node, then walks down the tree: pop a child under its parent's
//             lock, fire it, go on with its children, come back by the child's pointer upwards.
//             Every node is touched once and no stack grows with the depth. The walk never
//             switches fibers and runs no user code; that, callbacks and stop tokens, comes at its
//             end.
// Invariants  I1 a node is in its parent's list until it and all below it are fired, or it dies, or
//                a walk has popped it                                    (test "context I1")
//             I2 whoever sees an error sees `done` closed, and the other way round
//                                                                      (test "context I2")
//             I3 when cancel() returns, every descendant is fired, also if another call does it
//                                                                      (test "context I3")
//             I4 a cancellation meets each node below once, and none that was cancelled before
//                                                                      (test "context I4")
// Completion  `subtree_` is held by the walk from the firing of a node that has children until the
//             last of them is fired. A second cancel(), or a walk from above that meets a node
//             fired already, takes it and releases it: so it waits, and only ever for walks further
//             down.
// Deadline    the timer fires under a heap's lock, where no timer may be disarmed. A node without
//             children is cancelled there and then; else a fiber is started to walk the tree. The
//             timer is armed before the node is linked to its parent: whoever comes second of
//             firing and linking sees the first, and unlinks.
// Locks       lock_ of cancel_source guards the node's lists and is never held together with
//             another node's. Order: subtree_, timer heap, lock_, channel.
// Order       pair context.refs: dropping a count releases -> the last one acquires, then destroys.
//             pair context.done: the done channel is published with release, found with acquire.
//             pair context.settled: set with release once `done` is closed -> error() acquires it;
//             one that finds the node fired but not settled waits for its lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <system_error>
#include <utility>
#include <variant>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/base/error.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/chan/channel.hpp"
#include "weft/sched/cancel_source.hpp"
#include "weft/sched/timer_heap.hpp"
#include "weft/sched/timer_retry.hpp"

namespace weft::inline WEFT_ABI::detail {

class cancel_node;
class scheduler;
struct value_node;

struct context_node {
  using destroy_function = void (*)(context_node*) noexcept;

  // Counts `above`, which may be null, and inherits what it passes on.
  context_node(context_node* above, destroy_function end) noexcept : parent(above), destroy(end) {
    if (above == nullptr) return;
    above->add_ref();
    source = above->source;
    values = above->values;
  }
  context_node(const context_node&) = delete;
  context_node& operator=(const context_node&) = delete;

  void add_ref() noexcept { refs.fetch_add(1, relaxed); }  // relaxed: the caller has a count
  // False: the last count is gone, and the node about to die.
  [[nodiscard]] bool try_add_ref() noexcept;

  atomic<std::uint32_t> refs{1};
  context_node* const parent;     // counted
  cancel_node* source = nullptr;  // constant once made, as the next
  value_node* values = nullptr;
  const destroy_function destroy;

 protected:
  ~context_node() = default;
};

// Gives up a count. A chain of nodes that end with it goes one by one.
void drop(context_node* node) noexcept;

// A place in the list of what is told of a cancellation.
struct cancel_child : list_node {
  enum class kind : unsigned char { node, callback };

  explicit cancel_child(kind k) noexcept : what(k) {}

  cancel_child* next_told = nullptr;  // the walk that has popped it chains those for its end
  const kind what;
};

using told_chain = chain<cancel_child, &cancel_child::next_told>;

class cancel_node : public context_node, public cancel_source, public cancel_child {
 public:
  // Linked, or cancelled as the one above is; with two counts.
  static cancel_node* make(context_node* parent);

  [[nodiscard]] std::int64_t deadline() const noexcept { return deadline_; }

  // None while it is not cancelled.
  [[nodiscard]] std::error_code error() noexcept;
  [[nodiscard]] std::exception_ptr cause() noexcept;

  // Closed when it is cancelled; made at the first call. Counted by the node, not for the caller.
  [[nodiscard]] channel<std::monostate>& done();

  // A token whose stop is requested once it is cancelled; the same at every call.
  [[nodiscard]] std::stop_token token();

  // Cancels it and everything below. A null cause stands for the plain error. The first one wins.
  // How many nodes it has met: each below once, but for those that were cancelled before.
  std::size_t cancel(errc code, std::exception_ptr cause) noexcept;

  // False: it is cancelled already, and nothing was added.
  [[nodiscard]] bool add_child(cancel_child& child) noexcept;
  // True: it was in the list, and now is not.
  bool remove_child(cancel_child& child) noexcept;

  [[nodiscard]] std::size_t children_for_testing() noexcept;

 protected:
  cancel_node(context_node* above, destroy_function ender) noexcept;
  ~cancel_node();

  // Makes it a child of the one above, or, where that is cancelled, cancels it likewise.
  void link() noexcept;

  enum class leaf : unsigned char { fired, has_children, was_fired };
  // cancel() for the case that it has nothing below. Takes no lock but its own, its parent's and
  // those of wake-ups.
  [[nodiscard]] leaf cancel_leaf(errc code, const std::exception_ptr& cause) noexcept;

  cancel_node* const above_;       // the one that cancels it, or null; alive as parent is
  std::int64_t deadline_ = never;  // the earliest on the way up; constant once made
  timer_node* timer_ = nullptr;    // of a derived class; constant once made

 private:
  friend class cancel_walk;

  static void end(context_node* node) noexcept;

  void fire_locked(errc code, const std::exception_ptr& cause, woken_chain& woken) noexcept;
  void wait_until_settled() noexcept;
  void unlink() noexcept;

  atomic<bool> settled_{false};
  spinlock subtree_;
  errc code_ = errc::canceled;   // guarded by lock_; constant once settled, as cause_
  std::exception_ptr cause_;     // null: the plain error
  list<cancel_child> children_;  // guarded by lock_
  atomic<channel<std::monostate>*> done_{nullptr};
  std::unique_ptr<std::stop_source> stop_;  // guarded by lock_; does not change once made
};

// A node that cancels itself at its deadline.
class deadline_node final : public cancel_node {
 public:
  // As cancel_node::make, with a deadline in nanoseconds of the caller's clock; `is_past` tells
  // whether it has come. Throws what arm() throws.
  static cancel_node* make(context_node* parent, std::int64_t due, bool is_past,
                           std::exception_ptr cause);

 private:
  struct deadline_timer : timer_node {
    deadline_node* owner = nullptr;
    timer_retry retry;
  };
  class expiry;

  deadline_node(context_node* above, std::int64_t due, std::exception_ptr cause) noexcept;
  ~deadline_node() = default;

  static std::int64_t on_timer(timer_node& timer, std::int64_t now) noexcept;
  static void end(context_node* node) noexcept;

  deadline_timer own_timer_;
  scheduler* home_ = nullptr;  // in which the timer is armed
  std::exception_ptr expiry_cause_;
};

// A node that is cancelled when a stop is requested.
class token_node final : public cancel_node {
 public:
  // With one count. The token's stop must be possible.
  static cancel_node* make(std::stop_token token);

 private:
  struct on_stop {
    token_node* node;
    void operator()() const noexcept;
  };

  token_node() noexcept;
  ~token_node() = default;
  static void end(context_node* node) noexcept;

  std::optional<std::stop_callback<on_stop>> registration_;
};

// Passes values on, but no cancellation. With one count.
[[nodiscard]] context_node* make_shield(context_node* parent);

// A node with a value; the derived class owns it.
struct value_node : context_node {
  value_node(context_node* above, destroy_function end, const void* k) noexcept
      : context_node(above, end), outer(values), key(k) {
    values = this;
  }

  value_node* const outer;  // the next on the way up
  const void* const key;
  const void* value = nullptr;
};

template <class T>
struct typed_value_node final : value_node {
  typed_value_node(context_node* above, const void* k, T&& v)
      : value_node(above, end, k), held(std::move(v)) {
    value = std::addressof(held);
  }
  static void end(context_node* node) noexcept {
    delete static_cast<typed_value_node*>(static_cast<value_node*>(node));
  }

  T held;
};

[[nodiscard]] inline const void* find_value(const context_node* node, const void* key) noexcept {
  if (node == nullptr) return nullptr;
  for (const value_node* v = node->values; v != nullptr; v = v->outer) {
    if (v->key == key) return v->value;
  }
  return nullptr;
}

}  // namespace weft::inline WEFT_ABI::detail
