// Cancelling: the walk down the tree, and what it tells at its end.
#include <new>
#include <utility>

#include "weft/base/planted.hpp"
#include "weft/context/callback.hpp"
#include "weft/context/node.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

void cancel_node::fire_locked(errc code, const std::exception_ptr& cause,
                              woken_chain& woken) noexcept {
  code_ = code;
  cause_ = cause;
  cancel_source::fire_locked(woken);
  // relaxed: stored under the lock only
  if (channel<std::monostate>* ch = done_.load(relaxed)) ch->close();
  settled_.store(true, release);  // pairs: context.settled
}

// One cancellation: every node below the root is fired, in the order of a depth-first walk.
class cancel_walk {
 public:
  cancel_walk(errc code, std::exception_ptr cause) noexcept
      : code_(code), cause_(std::move(cause)) {}

  // How many nodes were met.
  std::size_t run(cancel_node& root) noexcept {
    const result fired = fire(root);
    if (fired == result::was_fired) return met_;
    if (fired == result::has_children) descend(root);
    // Not before: until all below it is fired, a walk from above must meet it, and wait.
    root.unlink();
    finish();
    return met_;
  }

 private:
  enum class result : unsigned char { was_fired, has_children, childless };

  // With `has_children` the caller holds the subtree lock; `was_fired` waits for the one that did.
  result fire(cancel_node& node) noexcept {
    ++met_;
    woken_chain woken;
    bool has_children = false;
    bool is_first = false;
    {
      lock_guard held(node.lock_);
      if (!node.is_fired()) {
        is_first = true;
        has_children = !node.children_.empty();
        if (has_children) node.subtree_.lock();
        node.fire_locked(code_, cause_, woken);
        if (node.stop_ != nullptr) {
          node.add_ref();
          told_.push_back(&node);
        }
      }
    }
    if (!is_first) {
      node.subtree_.lock();
      node.subtree_.unlock();
      return result::was_fired;
    }
    if (is_planted(planted_bug::missed_cancel) && has_children && !woken.empty()) {
      node.subtree_.unlock();
      has_children = false;
    }
    wake_all(woken);
    if (node.timer_ != nullptr) disarm(*node.timer_);
    return has_children ? result::has_children : result::childless;
  }

  // Gives up a count. What dies of it is destroyed at the end: values of users may be destroyed
  // with it.
  void release(cancel_node& node) noexcept {
    if (node.refs.fetch_sub(1, acq_rel) == 1) dead_.push_back(&node);  // pairs: context.refs
  }

  // The node's next child, counted if it is a node; null: none is left.
  static cancel_child* pop_child(cancel_node& node) noexcept {
    lock_guard held(node.lock_);
    while (cancel_child* child = node.children_.pop_front()) {
      if (child->what == cancel_child::kind::callback) return child;
      // One that is about to die waits for this lock to find itself unlinked.
      if (static_cast<cancel_node*>(child)->try_add_ref()) return child;
    }
    return nullptr;
  }

  void descend(cancel_node& root) noexcept {
    cancel_node* at = &root;
    for (;;) {
      cancel_child* child = pop_child(*at);
      if (child == nullptr) {
        at->subtree_.unlock();
        if (at == &root) return;
        cancel_node* up = at->above_;
        release(*at);
        at = up;
      } else if (child->what == cancel_child::kind::callback) {
        told_.push_back(child);
      } else {
        auto* node = static_cast<cancel_node*>(child);
        if (fire(*node) == result::has_children) {
          at = node;
        } else {
          release(*node);
        }
      }
    }
  }

  // Runs user code: stop callbacks may call anything, this cancellation again included.
  void finish() noexcept {
    while (cancel_child* child = told_.pop_front()) {
      if (child->what == cancel_child::kind::callback) {
        static_cast<context_callback*>(child)->tell();
      } else {
        auto* node = static_cast<cancel_node*>(child);
        node->stop_->request_stop();
        drop(node);
      }
    }
    while (cancel_child* child = dead_.pop_front()) {
      auto* node = static_cast<cancel_node*>(child);
      context_node* parent = node->parent;
      node->destroy(node);
      drop(parent);
    }
  }

  const errc code_;
  const std::exception_ptr cause_;
  std::size_t met_ = 0;
  told_chain told_;
  told_chain dead_;
};

std::size_t cancel_node::cancel(errc code, std::exception_ptr cause) noexcept {
  return cancel_walk(code, std::move(cause)).run(*this);
}

cancel_node::leaf cancel_node::cancel_leaf(errc code, const std::exception_ptr& cause) noexcept {
  woken_chain woken;
  {
    lock_guard held(lock_);
    if (is_fired()) return leaf::was_fired;
    if (!children_.empty() || stop_ != nullptr) return leaf::has_children;
    fire_locked(code, cause, woken);
  }
  wake_all(woken);
  unlink();
  return leaf::fired;
}

// --- callbacks ---

void context_callback::enlist(cancel_node* source) {
  home_ = scheduler::of_caller_or_null();
  if (source == nullptr) return;
  add_ref();  // the list's, or the fiber's
  if (source->add_child(*this)) return;
  static_cast<void>(try_claim());
  try {
    start(nullptr);
  } catch (...) {
    drop_ref();
    throw;
  }
}

void context_callback::tell() noexcept {
  if (try_claim()) {
    try {
      if (start_somewhere()) return;
    } catch (const std::bad_alloc&) {
      run_here();  // better here than never
    }
    clear_(*this);
  }
  drop_ref();
}

// In the runtime of the caller; a plain thread may have none, or the choice of several: then in the
// one where it was enlisted, if that still runs. False: there is no runtime for it any more.
bool context_callback::start_somewhere() {
  if (scheduler* caller = scheduler::of_caller_or_null()) {
    start(caller);
    return true;
  }
  struct search {
    context_callback& self;
    bool started;
  } found{*this, false};
  for_each_scheduler(
      [](scheduler& s, void* argument) {
        auto& [self, started] = *static_cast<search*>(argument);
        if (&s != self.home_) return;
        self.start(&s);
        started = true;
      },
      &found);
  return found.started;
}

bool context_callback::stop(cancel_node* source) noexcept {
  if (!try_claim()) return false;
  const bool was_listed = source != nullptr && source->remove_child(*this);
  clear_(*this);
  if (was_listed) drop_ref();
  return true;
}

}  // namespace weft::inline WEFT_ABI::detail
