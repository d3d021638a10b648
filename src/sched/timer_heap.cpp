// The bodies of the timer heap, and taking a timer out from any thread.
#include "weft/sched/timer_heap.hpp"

#include <algorithm>
#include <functional>

#include "weft/sched/park.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::size_t arity = 4;

// So many fire between two releases of the lock: others want to arm meanwhile.
constexpr std::size_t fired_per_hold = 32;

constexpr std::size_t parent_of(std::size_t at) noexcept { return (at - 1) / arity; }
constexpr std::size_t first_child_of(std::size_t at) noexcept { return at * arity + 1; }

}  // namespace

void timer_heap::place(std::size_t at, const entry& e) noexcept {
  entries_[at] = e;
  e.node->index = static_cast<std::uint32_t>(at);
}

// Finds the place for `e`, on the way from the hole at `at` to the root.
void timer_heap::sift_up(std::size_t at, const entry& e) noexcept {
  while (at != 0) {
    const std::size_t parent = parent_of(at);
    if (!e.before(entries_[parent])) break;
    place(at, entries_[parent]);
    at = parent;
  }
  place(at, e);
}

// Finds the place for `e`, on the way from the hole at `at` to the leaves.
void timer_heap::sift_down(std::size_t at, const entry& e) noexcept {
  const std::size_t n = entries_.size();
  for (;;) {
    const std::size_t first = first_child_of(at);
    if (first >= n) break;
    const std::size_t end = std::min(first + arity, n);
    std::size_t best = first;
    for (std::size_t child = first + 1; child < end; ++child) {
      if (entries_[child].before(entries_[best])) best = child;
    }
    if (!entries_[best].before(e)) break;
    place(at, entries_[best]);
    at = best;
  }
  place(at, e);
}

// Touches the node that is removed no more.
void timer_heap::remove_at(std::size_t at) noexcept {
  const entry last = entries_.back();
  entries_.pop_back();
  if (at == entries_.size()) return;
  if (at != 0 && last.before(entries_[parent_of(at)])) {
    sift_up(at, last);
  } else {
    sift_down(at, last);
  }
}

// At the end of every section that changed the heap.
void timer_heap::publish() noexcept {
  size_.store(entries_.size(), relaxed);  // relaxed: a counter for reports
  next_due_.store(entries_.empty() ? never : entries_.front().due,
                  release);  // pairs: timer_heap.next
}

std::uint64_t timer_heap::new_order() noexcept {
  if (!is_shuffled_) return next_order_++;
  return choose_below(std::numeric_limits<std::uint32_t>::max());
}

bool timer_heap::insert(timer_node& node, std::int64_t due) {
  lock_guard held(lock_);
  entries_.push_back({});
  const entry e{due, new_order(), &node};
  sift_up(entries_.size() - 1, e);
  node.heap.store(this, release);  // pairs: timer_heap.home
  publish();
  return node.index == 0;
}

void timer_heap::fire_first(std::int64_t now) noexcept {
  timer_node& node = *entries_.front().node;
  node.index = timer_node::none;
  const std::int64_t next = node.fire(node, now);
  if (next == timer_node::gone) {
    remove_at(0);
  } else if (next == never) {
    node.heap.store(nullptr, release);  // pairs: timer_heap.home
    remove_at(0);
  } else {
    sift_down(0, entry{next, new_order(), &node});
  }
}

std::size_t timer_heap::run_due(std::int64_t now) noexcept {
  std::size_t fired = 0;
  while (next_due() <= now) {
    lock_guard held(lock_);
    std::size_t n = 0;
    while (n != fired_per_hold && !entries_.empty() && entries_.front().due <= now) {
      fire_first(now);
      ++n;
    }
    publish();
    if (n == 0) break;  // somebody else has fired them
    fired += n;
  }
  return fired;
}

void timer_heap::take_all(timer_heap& from) {
  // By address: two heaps may take from one another at the same time.
  const bool this_first = std::less<>{}(this, &from);
  lock_guard first(this_first ? lock_ : from.lock_);
  lock_guard second(this_first ? from.lock_ : lock_);
  entries_.reserve(entries_.size() + from.entries_.size());
  // In order, so that equal due times keep theirs.
  std::sort(from.entries_.begin(), from.entries_.end(),
            [](const entry& a, const entry& b) { return a.before(b); });
  for (const entry& moved : from.entries_) {
    const entry e{moved.due, new_order(), moved.node};
    entries_.push_back(e);
    sift_up(entries_.size() - 1, e);
    e.node->heap.store(this, release);  // pairs: timer_heap.home
  }
  from.entries_.clear();
  publish();
  from.publish();
}

void timer_heap::abandon_all() noexcept {
  for (;;) {
    timer_node* node = nullptr;
    timer_node::abandon_function abandon = nullptr;
    {
      lock_guard held(lock_);
      if (entries_.empty()) return;
      node = entries_.back().node;
      entries_.pop_back();
      publish();
      // Past the lock a node without the function may be gone.
      abandon = node->abandon;
      node->index = timer_node::none;
      node->heap.store(nullptr, release);  // pairs: timer_heap.home
    }
    if (abandon != nullptr) abandon(*node);
  }
}

bool timer_heap::is_sound_for_testing() noexcept {
  lock_guard held(lock_);
  for (std::size_t at = 0; at != entries_.size(); ++at) {
    const entry& e = entries_[at];
    if (e.node->index != at) return false;
    // relaxed: the lock orders it
    if (e.node->heap.load(relaxed) != this) return false;
    if (at != 0 && e.before(entries_[parent_of(at)])) return false;
  }
  return true;
}

bool disarm(timer_node& node) noexcept {
  for (;;) {
    timer_heap* heap = node.heap.load(acquire);  // pairs: timer_heap.home
    if (heap == nullptr) return false;
    lock_guard held(heap->lock_);
    // relaxed: changed under this lock only, or by a fire function that lets go
    if (node.heap.load(relaxed) != heap) continue;
    heap->remove_at(node.index);
    node.index = timer_node::none;
    node.heap.store(nullptr, release);  // pairs: timer_heap.home
    heap->publish();
    return true;
  }
}

}  // namespace weft::inline WEFT_ABI::detail
