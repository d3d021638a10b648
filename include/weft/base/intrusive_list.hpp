// Intrusive lists: a circular doubly linked one whose nodes unlink themselves, and a singly linked
// queue for batches.
//
// Neither allocates nor knows a thread: whoever uses one says which lock guards it.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// A place in a doubly linked list. Unlinked: next == nullptr. It must be unlinked when it dies.
struct list_node {
  list_node* next = nullptr;
  list_node* prev = nullptr;

  [[nodiscard]] bool is_linked() const noexcept { return next != nullptr; }

  // Removes the node from the list it is in; the list's head is not needed.
  void unlink() noexcept {
    prev->next = next;
    next->prev = prev;
    next = prev = nullptr;
  }
};

// A FIFO of T, which derives from list_node. Not movable: the nodes point at its head.
template <class T>
class list {
 public:
  constexpr list() noexcept { head_.next = head_.prev = &head_; }
  list(const list&) = delete;
  list& operator=(const list&) = delete;

  [[nodiscard]] bool empty() const noexcept { return head_.next == &head_; }
  [[nodiscard]] T* front() const noexcept { return empty() ? nullptr : as_item(head_.next); }
  // The item behind `item`, or null at the end.
  [[nodiscard]] T* after(T& item) const noexcept {
    return item.next == &head_ ? nullptr : as_item(item.next);
  }

  void push_back(T& item) noexcept { insert_between(item, head_.prev, &head_); }
  void push_front(T& item) noexcept { insert_between(item, &head_, head_.next); }

  T* pop_front() noexcept {
    if (empty()) return nullptr;
    T* item = as_item(head_.next);
    item->unlink();
    return item;
  }

  // Moves everything from `other`, which is then empty, to the end of this list.
  void splice_back(list& other) noexcept {
    if (other.empty()) return;
    list_node* first = other.head_.next;
    list_node* last = other.head_.prev;
    other.head_.next = other.head_.prev = &other.head_;
    first->prev = head_.prev;
    head_.prev->next = first;
    last->next = &head_;
    head_.prev = last;
  }

 private:
  static T* as_item(list_node* node) noexcept { return static_cast<T*>(node); }
  static void insert_between(list_node& node, list_node* before, list_node* behind) noexcept {
    node.prev = before;
    node.next = behind;
    before->next = &node;
    behind->prev = &node;
  }

  list_node head_;
};

// A FIFO chained through the member `Link` of T; appending one queue to another takes O(1).
template <class T, T* T::* Link>
class chain {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void push_back(T* item) noexcept {
    item->*Link = nullptr;
    if (last_ != nullptr) {
      last_->*Link = item;
    } else {
      first_ = item;
    }
    last_ = item;
    ++size_;
  }

  void push_front(T* item) noexcept {
    item->*Link = first_;
    first_ = item;
    if (last_ == nullptr) last_ = item;
    ++size_;
  }

  T* pop_front() noexcept {
    T* item = first_;
    if (item == nullptr) return nullptr;
    first_ = item->*Link;
    if (first_ == nullptr) last_ = nullptr;
    --size_;
    return item;
  }

  void append(chain& other) noexcept {
    if (other.first_ == nullptr) return;
    if (last_ != nullptr) {
      last_->*Link = other.first_;
    } else {
      first_ = other.first_;
    }
    last_ = other.last_;
    size_ += other.size_;
    other = chain{};
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weft::inline WEFT_ABI::detail
