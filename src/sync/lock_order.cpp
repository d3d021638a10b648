// The graph of the order in which locks have been taken; empty where locks are not checked.
#include "weft/sync/lock_order.hpp"

#if WEFT_CHECK_LOCKS

#include <algorithm>

namespace weft::inline WEFT_ABI::detail {

std::vector<lock_order::step> lock_order::note(const step& s) {
  if (const auto known = nodes_.find(s.held); known != nodes_.end()) {
    for (const step& old : known->second.out)
      if (old.wanted == s.wanted) return {};
  }
  std::vector<step> back = way(s.wanted, s.held);
  nodes_[s.wanted].in.push_back(s.held);
  try {
    nodes_[s.held].out.push_back(s);
  } catch (...) {
    nodes_[s.wanted].in.pop_back();
    throw;
  }
  return back;
}

void lock_order::forget(lock_id lock) noexcept {
  const auto found = nodes_.find(lock);
  if (found == nodes_.end()) return;
  for (const step& s : found->second.out) std::erase(nodes_.find(s.wanted)->second.in, lock);
  for (const lock_id before : found->second.in) {
    std::erase_if(nodes_.find(before)->second.out,
                  [lock](const step& s) { return s.wanted == lock; });
  }
  nodes_.erase(found);
}

// The shortest, breadth first.
std::vector<lock_order::step> lock_order::way(lock_id from, lock_id to) const {
  std::unordered_map<lock_id, const step*> reached_by{{from, nullptr}};
  std::vector<lock_id> next{from};
  for (std::size_t i = 0; i < next.size() && !reached_by.contains(to); ++i) {
    const auto at = nodes_.find(next[i]);
    if (at == nodes_.end()) continue;
    for (const step& s : at->second.out)
      if (reached_by.try_emplace(s.wanted, &s).second) next.push_back(s.wanted);
  }
  std::vector<step> steps;
  const auto end = reached_by.find(to);
  if (end == reached_by.end()) return steps;
  for (const step* s = end->second; s != nullptr; s = reached_by.find(s->held)->second)
    steps.push_back(*s);
  std::reverse(steps.begin(), steps.end());
  return steps;
}

bool lock_order::is_sound_for_testing() const {
  std::size_t ins = 0;
  std::size_t outs = 0;
  for (const auto& [lock, n] : nodes_) {
    ins += n.in.size();
    outs += n.out.size();
    for (const step& s : n.out) {
      const auto to = nodes_.find(s.wanted);
      if (s.held != lock || to == nodes_.end() ||
          std::count(to->second.in.begin(), to->second.in.end(), lock) != 1)
        return false;
    }
  }
  return ins == outs;
}

}  // namespace weft::inline WEFT_ABI::detail

#endif
