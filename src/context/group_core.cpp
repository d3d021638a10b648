// Places, failures and the end of a group.
#include "weft/context/group_core.hpp"

#include <string>
#include <utility>

#include "weft/arch/report.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/fiber.hpp"
#include "weft/sched/park.hpp"

namespace weft::inline WEFT_ABI::detail {

// One start of a child that may have to wait for a place.
class group_core::starting {
 public:
  explicit starting(group_core& g) noexcept : g_(g) {}

  bool enrol(waiter& place) noexcept {
    if (g_.active_ < g_.limit_) {
      ++g_.active_;
      return false;
    }
    g_.starters_.push_back(place);
    return true;
  }
  wait_end gave_up(waiter&, wait_end how) noexcept {
    g_.lock_.unlock();
    return how;
  }
  void revoke(waiter&) noexcept { g_.release_place(); }
  [[nodiscard]] bubble_use use() const noexcept { return g_.used_.use(); }

 private:
  group_core& g_;
};

// One wait for the end of all children.
class group_core::joining {
 public:
  explicit joining(group_core& g) noexcept : g_(g) {}

  bool enrol(waiter& place) noexcept {
    if (g_.active_ == 0) return false;
    g_.joiners_.push_back(place);
    return true;
  }
  wait_end gave_up(waiter& place, wait_end how) noexcept {
    if (place.is_linked()) place.unlink();
    g_.lock_.unlock();
    return how;
  }
  void revoke(waiter&) noexcept {}
  [[nodiscard]] bubble_use use() const noexcept { return g_.used_.use(); }

 private:
  group_core& g_;
};

void group_core::set_limit(std::size_t limit) {
  lock_.lock();
  const std::size_t active = active_;
  if (active == 0) limit_ = limit;
  lock_.unlock();
  if (active == 0) return;
  const std::string text = "errgroup: modify limit while " + std::to_string(active) +
                           " goroutines in the group are still active";
  throw_usage_error(text.c_str());
}

void group_core::acquire_place() {
  safepoint();
  used_.note_use();
  waiter place;
  starting op(*this);
  const wait_limits none;
  block_in_queue(lock_, wait_reason::group_wait, none, place, op);
}

bool group_core::try_acquire_place() noexcept {
  pass_entry();
  used_.note_use();
  lock_guard held(lock_);
  if (active_ >= limit_) return false;
  ++active_;
  return true;
}

void group_core::release_place() noexcept {
  used_.note_use();
  woken_chain woken;
  lock_.lock();
  if (waiter* next = pop_claimed(starters_)) {
    next->ok = true;
    woken.push_back(next);
  } else if (--active_ == 0) {
    while (waiter* w = pop_claimed(joiners_)) woken.push_back(w);
  }
  lock_.unlock();
  wake_all(woken);
}

bool group_core::fail(std::exception_ptr error) noexcept {
  lock_guard held(lock_);
  if (error_ != nullptr) return false;
  error_ = std::move(error);
  is_told_ = false;
  return true;
}

std::exception_ptr group_core::take_error() noexcept {
  lock_guard held(lock_);
  is_told_ = true;
  return error_;
}

wait_end group_core::join(const wait_limits& limits) {
  safepoint();
  used_.note_use();
  if (is_canceled(limits)) return wait_end::canceled;
  waiter place;
  joining op(*this);
  return block_in_queue(lock_, wait_reason::group_wait, limits, place, op);
}

void group_core::join_at_end() noexcept {
  fiber* f = this_fiber_or_null();
  // Not unwound here: it waits until its children have been.
  if (f != nullptr) ++f->keeps_stack;
  static_cast<void>(join({}));
  if (f != nullptr) --f->keeps_stack;
  if (is_told_) return;
  report out;
  out.line("weft: the exception of a fiber is dropped: its group was destroyed without a wait()");
  describe_exception(error_, out);
}

}  // namespace weft::inline WEFT_ABI::detail
