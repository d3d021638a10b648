// Waiting for a condition variable, and signalling it.
#include "weft/sync/cond.hpp"

#include <exception>

#include "weft/sched/fiber.hpp"

namespace weft::inline WEFT_ABI::detail {

// One wait; its place in the queue.
class cond_core::attempt : public waiter {
 public:
  attempt(cond_core& c, const lock_ref& user) noexcept : c_(c), user_(user) {
    guard = &c.queue_lock_;
  }
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;
  // Left by unwinding or a deadlock's error: a signal that was given goes on to the next, and the
  // destructors above find the lock held, as after every wait.
  ~attempt() {
    if (WEFT_UNLIKELY(!is_over_)) leave();
    if (WEFT_UNLIKELY(is_unlocked_)) relock();
  }

  template <class Wait>
  wait_end run(Wait& wait) {
    {
      lock_guard held(c_.queue_lock_);
      c_.queue_.push_back(*this);
    }
    user_.unlock();
    is_unlocked_ = true;
    wait_end end = wait_end::granted;
    c_.queue_lock_.lock();
    if (is_signalled_) {
      c_.queue_lock_.unlock();
    } else {
      is_parked_ = true;
      const std::uint32_t fired = wait.park(c_.queue_lock_);
      if (!is_signalled_by(fired))
        end = fired == by_deadline ? wait_end::timed_out : wait_end::canceled;
    }
    is_over_ = true;
    user_.lock();
    is_unlocked_ = false;
    return end;
  }

  // By a signal, under the queue's lock and off the queue. False: a limit has ended this wait.
  [[nodiscard]] bool take_signal(woken_chain& woken) noexcept {
    if (is_parked_) {
      if (state->try_claim(by_grant) != claim::parked) return false;
      woken.push_back(this);
    }
    is_signalled_ = true;
    return true;
  }

 private:
  void leave() noexcept {
    c_.queue_lock_.lock();
    if (is_linked()) unlink();
    c_.queue_lock_.unlock();
    if (is_signalled_) static_cast<void>(c_.signal_some(false));
  }

  // Whoever has the lock is unwound first, so this is not unwound meanwhile.
  void relock() noexcept {
    fiber* f = this_fiber_or_null();
    if (f != nullptr) ++f->keeps_stack;
    try {
      user_.lock();
    } catch (const std::exception&) {
      // A lock that refuses; the exception on its way says more.
    }
    if (f != nullptr) --f->keeps_stack;
  }

  // A single wait is ended by a signal only.
  static bool is_signalled_by(std::uint32_t fired) noexcept {
    return fired == by_grant || fired == wait_state::no_index;
  }

  cond_core& c_;
  const lock_ref& user_;
  bool is_parked_ = false;     // guarded by the queue's lock
  bool is_signalled_ = false;  // likewise; after the park it is the owner's
  bool is_unlocked_ = false;   // the user's lock was given up
  bool is_over_ = false;
};

wait_end cond_core::wait(const lock_ref& user, const wait_limits& limits) {
  safepoint();
  attempt a(*this, user);
  if (limits.none()) {
    wait_state wait(wait_state::kind::single, wait_reason::cond_wait, &a, 1);
    return a.run(wait);
  }
  multi_wait wait(wait_reason::cond_wait, &a, 1);
  return arm_limits(wait, limits) ? a.run(wait) : wait_end::canceled;
}

// A fiber of a bubble is woken from there only.
bool cond_core::is_refused(const waiter& w) noexcept {
  if (!in_test_world() || w.state->is_claimed()) return false;
  const bubble_id home = w.state->bubble_of_task();
  return home != no_bubble && home != bubble_of_caller();
}

bool cond_core::signal_some(bool all) noexcept {
  woken_chain woken;
  wait_list refused;
  queue_lock_.lock();
  while (waiter* w = queue_.pop_front()) {
    if (WEFT_UNLIKELY(is_refused(*w))) {
      refused.push_back(*w);
      if (!all) break;
    } else if (static_cast<attempt*>(w)->take_signal(woken) && !all) {
      break;
    }
  }
  const bool is_complete = refused.empty();
  while (waiter* w = refused.pop_front()) all ? queue_.push_back(*w) : queue_.push_front(*w);
  queue_lock_.unlock();
  wake_all(woken);
  return is_complete;
}

void cond_core::signal() {
  pass_entry();
  if (WEFT_UNLIKELY(!signal_some(false)))
    throw_from_outside("semaphore wake of synctest goroutine");
}

void cond_core::broadcast() {
  pass_entry();
  if (WEFT_UNLIKELY(!signal_some(true))) throw_from_outside("semaphore wake of synctest goroutine");
}

}  // namespace weft::inline WEFT_ABI::detail
