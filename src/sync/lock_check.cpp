// The table of who holds which lock, and the reports of what it finds; empty where locks are not
// checked.
#include "weft/sync/lock_check.hpp"

#if WEFT_CHECK_LOCKS

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/places.hpp"
#include "weft/arch/report.hpp"
#include "weft/arch/thread.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/fiber.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sync/lock_order.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::size_t shown_frames = 8;

// A fiber's number or a thread's, told apart by the lowest bit.
using task_key = std::uint64_t;

task_key this_task() noexcept {
  if (fiber* f = this_fiber_or_null()) return id_of(*f) << 1U;
  return static_cast<task_key>(current_thread_id()) << 1U | 1U;
}

// Of the call that the program made: the frames of weft's inner parts are left out when told.
lock_place place_now() noexcept {
  lock_place at;
  at.count = capture(at.frames, lock_place::max_frames, 1);
  return at;
}

std::uint64_t hash_of(const lock_place& at, std::uint64_t hash) noexcept {
  for (std::size_t i = 0; i < at.count; ++i)
    hash = (hash ^ std::hash<void*>()(at.frames[i])) * 0x100000001b3U;
  return hash;
}

std::string name_of(task_key who) {
  return ((who & 1U) != 0 ? "thread " : "fiber ") + std::to_string(who >> 1U);
}

std::string name_of(const char* what, const void* lock) {
  std::string name = std::string("the ") + what + " ";
  report out([](void* to, const char* text,
                std::size_t n) { static_cast<std::string*>(to)->append(text, n); },
             &name);
  out.address(lock).flush();
  return name;
}

// What was found, put together under the table's lock and printed without it.
class finding {
 public:
  explicit finding(std::string what) : what_(std::move(what)) {}

  void add(std::string text, const lock_place& at) { parts_.push_back({std::move(text), at}); }

  void print() const {
    place_table places;
    for (const part& p : parts_) places.add(p.at.frames, p.at.count);
    places.look_up();
    {
      report out;
      out.text("weft: ").line(what_);
      for (const part& p : parts_) {
        out.line().line(p.text);
        const std::size_t inner = count_inner_frames(p.at.frames, p.at.count);
        print_stack(out, p.at.frames + inner, std::min(p.at.count - inner, shown_frames), places);
      }
      out.line();
    }
    static const bool aborts = [] {
      const char* option = std::getenv("WEFT_CHECK");
      return option != nullptr && std::string_view(option) == "abort";
    }();
    if (aborts) std::abort();
  }

 private:
  struct part {
    std::string text;
    lock_place at;
  };
  std::string what_;
  std::vector<part> parts_;
};

bool is_running(const scheduler* wanted) noexcept {
  struct search {
    const scheduler* wanted;
    bool found;
  } s{wanted, false};
  for_each_scheduler_unlocked(
      [](scheduler& one, void* argument) {
        auto& all = *static_cast<search*>(argument);
        all.found = all.found || &one == all.wanted;
      },
      &s);
  return s.found;
}

}  // namespace

class lock_table {
 public:
  // Never destroyed: locks of static storage may die after anything else.
  static lock_table& instance() {
    static lock_table& table = *new lock_table;
    return table;
  }

  void about_to_wait(lock_watch& lock, lock_mode mode) {
    const task_key me = this_task();
    if (holds_nothing(me)) return;
    const lock_place now = place_now();
    std::vector<finding> found;
    {
      lock_guard held(lock_);
      const auto mine = tasks_.find(me);
      if (mine == tasks_.end()) return;
      for (const entry& e : mine->second) {
        if (e.lock == &lock) {
          if (is_new(e.at, now)) found.push_back(recursion(e, mode, me, now));
          continue;
        }
        const lock_order::step step{id_of(*e.lock), id_of(lock), me, e.at, now};
        const std::vector<lock_order::step> back = order_.note(step);
        if (!back.empty() && is_new(e.at, now)) found.push_back(inversion(step, back));
      }
    }
    for (const finding& f : found) f.print();
  }

  void taken(lock_watch& lock, lock_mode mode) {
    const task_key me = this_task();
    const fiber* f = this_fiber_or_null();
    const entry e{&lock, mode, f == nullptr ? nullptr : f->home, place_now()};
    lock_guard held(lock_);
    tasks_[me].push_back(e);
    ++lock.holders_;
  }

  void given_up(lock_watch& lock, lock_mode mode) noexcept {
    const task_key me = this_task();
    lock_guard held(lock_);
    if (lock.holders_ == 0) return;
    if (const auto mine = tasks_.find(me); mine != tasks_.end() && drop(mine, lock, mode)) return;
    for (auto other = tasks_.begin(); other != tasks_.end(); ++other)
      if (drop(other, lock, mode)) return;
  }

  void destroyed(lock_watch& lock) {
    std::optional<std::pair<task_key, entry>> holder;
    {
      lock_guard held(lock_);
      order_.forget(lock.id_);
      names_.erase(lock.id_);
      if (lock.holders_ == 0) return;
      const auto is_this = [&lock](const entry& e) { return e.lock == &lock; };
      for (auto& [who, entries] : tasks_) {
        const auto e = std::find_if(entries.begin(), entries.end(), is_this);
        if (e != entries.end() && (e->home == nullptr || is_running(e->home))) holder = {who, *e};
        std::erase_if(entries, is_this);
      }
      std::erase_if(tasks_, [](const auto& t) { return t.second.empty(); });
    }
    if (!holder) return;
    const std::string name = name_of(lock.what_, lock.lock_);
    finding f(name +
              " is destroyed while it is held; whoever unlocks it later finds something "
              "else in its place");
    f.add(name_of(holder->first) + " took it at", holder->second.at);
    f.add(name_of(this_task()) + " destroys it at", place_now());
    f.print();
  }

 private:
  struct entry {
    lock_watch* lock;
    lock_mode mode;
    const scheduler* home;  // of the fiber that took it; null: a thread
    lock_place at;
  };
  struct lock_name {
    const char* what;
    const void* lock;
  };
  using task_map = std::unordered_map<task_key, std::vector<entry>>;

  bool holds_nothing(task_key who) noexcept {
    lock_guard held(lock_);
    return !tasks_.contains(who);
  }

  // The last of these that the task has taken is given back; false: it has none.
  bool drop(task_map::iterator task, lock_watch& lock, lock_mode mode) noexcept {
    auto& entries = task->second;
    const auto last = std::find_if(entries.rbegin(), entries.rend(), [&](const entry& e) {
      return e.lock == &lock && e.mode == mode;
    });
    if (last == entries.rend()) return false;
    entries.erase(std::next(last).base());
    if (entries.empty()) tasks_.erase(task);
    --lock.holders_;
    return true;
  }

  std::uint64_t id_of(lock_watch& lock) {
    if (lock.id_ == 0) {
      names_[last_id_ + 1] = {lock.what_, lock.lock_};
      lock.id_ = ++last_id_;
    }
    return lock.id_;
  }

  bool is_new(const lock_place& one, const lock_place& other) {
    return told_.insert(hash_of(other, hash_of(one, 0))).second;
  }

  std::string name_of_lock(std::uint64_t id) const {
    const auto found = names_.find(id);
    return found == names_.end() ? "a lock" : name_of(found->second.what, found->second.lock);
  }

  static finding recursion(const entry& e, lock_mode mode, task_key me, const lock_place& now) {
    const std::string name = name_of(e.lock->what_, e.lock->lock_);
    const bool both_read = e.mode == lock_mode::shared && mode == lock_mode::shared;
    finding f(name + (both_read ? " is locked again by a reader of it, who waits for ever if a "
                                  "writer comes in between"
                                : " is locked again by whoever has it, who waits for ever unless "
                                  "another unlocks it"));
    f.add(name_of(me) + " took it at", e.at);
    f.add("and is about to take it again at", now);
    return f;
  }

  finding inversion(const lock_order::step& step, const std::vector<lock_order::step>& back) const {
    finding f(
        "locks are taken in different orders; the tasks that do so may wait for one another "
        "for ever");
    f.add(name_of(step.task) + " has taken " + name_of_lock(step.held) + " at", step.held_at);
    f.add("and is about to take " + name_of_lock(step.wanted) + " at", step.wanted_at);
    for (const lock_order::step& s : back) {
      f.add(name_of(s.task) + " had taken " + name_of_lock(s.held) + " at", s.held_at);
      f.add("when it took " + name_of_lock(s.wanted) + " at", s.wanted_at);
    }
    return f;
  }

  spinlock lock_;
  task_map tasks_;  // guarded by lock_, as the rest
  lock_order order_;
  std::unordered_map<std::uint64_t, lock_name> names_;  // of the locks in order_
  std::uint64_t last_id_ = 0;
  std::unordered_set<std::uint64_t> told_;  // hashes of pairs of places
};

namespace {

// What could not be noted for want of memory is not checked.
template <class F>
void best_effort(F f) noexcept {
  try {
    f(lock_table::instance());
  } catch (const std::bad_alloc&) {
    return;
  }
}

}  // namespace

lock_watch::~lock_watch() {
  best_effort([this](lock_table& t) { t.destroyed(*this); });
}

void lock_watch::about_to_wait(lock_mode mode) noexcept {
  best_effort([=, this](lock_table& t) { t.about_to_wait(*this, mode); });
}

void lock_watch::taken(lock_mode mode) noexcept {
  best_effort([=, this](lock_table& t) { t.taken(*this, mode); });
}

void lock_watch::given_up(lock_mode mode) noexcept {
  best_effort([=, this](lock_table& t) { t.given_up(*this, mode); });
}

void task_queue::report_destroyed_in_use(const char* what) noexcept {
  if (begin_fatal_report()) {
    report out;
    out.text("fatal error: a ").text(what).line(" is destroyed while tasks wait for it");
    out.line();
    print_own_stack(out);
    out.line();
    dump_all(out, dump_style::full);
  }
  end_process(2);
}

}  // namespace weft::inline WEFT_ABI::detail

#endif
