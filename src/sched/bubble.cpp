// Counting a bubble's fibers, and whose bubble the caller and its objects are in.
#include "weft/sched/bubble.hpp"

#include <utility>

#include "weft/base/error.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

atomic<unsigned> test_worlds{0};

namespace {

// Of all records, in use or not: grows only.
spinlock records_lock;
bubble_state* records = nullptr;  // guarded by records_lock, as the next
bubble_id last_number = 0;

// A number must fit into a bubble_mark.
constexpr bubble_id largest_number = (bubble_id{1} << 31U) - 1;

bubble_state* bubble_of(const fiber* f) noexcept { return f == nullptr ? nullptr : f->bubble(); }

}  // namespace

bubble_state& bubble_state::make() {
  lock_guard held(records_lock);
  bubble_state* b = records;
  while (b != nullptr && b->id() != no_bubble) b = b->next;
  if (b == nullptr) {
    b = new bubble_state;
    b->next = records;
    records = b;
  }
  last_number = last_number == largest_number ? 1 : last_number + 1;
  b->now_.store(start, release);       // pairs: bubble.now
  b->id_.store(last_number, relaxed);  // relaxed: the caller's, who publishes it
  test_worlds.fetch_add(1, relaxed);   // relaxed: visible with the bubble's fibers
  return *b;
}

void bubble_state::end() noexcept {
  timers.abandon_all();
  lock_guard held(records_lock);
  {
    lock_guard all(lock_);
    became_idle_ = false;
    first_has_ended_ = false;
    first_ = 0;
  }
  test_worlds.fetch_sub(1, relaxed);  // relaxed: a hint to those outside
  id_.store(no_bubble, relaxed);      // relaxed: under the lock
}

bool is_bubble_alive(bubble_id id) noexcept {
  lock_guard held(records_lock);
  const bubble_state* b = records;
  while (b != nullptr && b->id() != id) b = b->next;
  return b != nullptr;
}

bubble_id bubble_of_caller_slow() noexcept {
  const bubble_state* b = bubble_of(this_fiber_or_null());
  return b == nullptr ? no_bubble : b->id();
}

void throw_from_outside(const char* what) {
  const std::string text = std::string(what) + " from outside bubble";
  throw_usage_error(text.c_str());
}

void bubble_mark::note_use_slow() noexcept {
  const bubble_id caller = bubble_of_caller();
  std::uint32_t word = word_.load(relaxed);  // relaxed: exchanged below
  for (;;) {
    std::uint32_t next = shared;
    if (caller != no_bubble) {
      if (word == unused) {
        next = caller << 1U | adopted;
      } else if (word >> 1U == caller) {
        return;
      }
    }
    // relaxed: see note_use()
    if (word == next || word_.compare_exchange(word, next, relaxed)) return;
  }
}

waiter* bubble_state::note_if_idle() noexcept {
  if (running_ != 0) return nullptr;
  became_idle_ = true;
  return pop_claimed(driver_);
}

void bubble_state::fiber_made() noexcept {
  lock_guard held(lock_);
  ++fibers_;
  ++running_;
}

void bubble_state::fiber_ended(const fiber& f) noexcept {
  waiter* woken = nullptr;
  {
    lock_guard held(lock_);
    --fibers_;
    --running_;
    if (f.id.load(relaxed) == first_) first_has_ended_ = true;  // relaxed: ended
    woken = note_if_idle();
  }
  if (woken != nullptr) woken->state->wake();
}

void bubble_state::blocked(durability how) noexcept {
  waiter* woken = nullptr;
  {
    lock_guard held(lock_);
    --running_;
    if (how == durability::adopted) ++adopted_;
    woken = note_if_idle();
  }
  if (woken != nullptr) woken->state->wake();
}

void bubble_state::unblocked(durability how) noexcept {
  lock_guard held(lock_);
  ++running_;
  // Its park may not have been counted yet: the number wraps for that moment.
  if (how == durability::adopted) --adopted_;
}

void count_in(fiber& f) noexcept {
  // relaxed: the claimer's, or its own
  const durability how = f.durably.load(relaxed);
  if (how == durability::none) return;
  f.durably.store(durability::none, relaxed);  // relaxed: likewise
  f.bubble()->unblocked(how);
}

bool bubble_state::is_idle() const noexcept {
  lock_guard held(lock_);
  return running_ == 0;
}

bool bubble_state::first_has_ended() const noexcept {
  lock_guard held(lock_);
  return first_has_ended_;
}

std::size_t bubble_state::fibers() const noexcept {
  lock_guard held(lock_);
  return fibers_;
}

bool bubble_state::may_be_woken_from_outside() const noexcept {
  lock_guard held(lock_);
  return adopted_ != 0;
}

void bubble_state::wait_until_idle() {
  waiter place;
  wait_state wait(wait_state::kind::single, wait_reason::bubble, &place, 1);
  place.guard = &lock_;
  lock_.lock();
  if (std::exchange(became_idle_, false)) {
    lock_.unlock();
    return;
  }
  driver_.push_back(place);
  wait.park(lock_);
  lock_guard held(lock_);
  became_idle_ = false;
}

void bubble_state::wait_for_others() {
  safepoint();
  waiter place;
  wait_state wait(wait_state::kind::single, wait_reason::bubble_wait, &place, 1);
  place.guard = &lock_;
  lock_.lock();
  if (!waiting_.empty()) {
    lock_.unlock();
    throw_usage_error("wait already in progress");
  }
  waiting_.push_back(place);
  wait.park(lock_);
}

bool bubble_state::release_waiting() noexcept {
  waiter* woken = nullptr;
  {
    lock_guard held(lock_);
    woken = pop_claimed(waiting_);
  }
  if (woken == nullptr) return false;
  woken->state->wake();
  return true;
}

outside_scope::outside_scope(bool leaves) noexcept {
  if (!leaves) return;
  f_ = this_fiber_or_null();
  was_in_ = bubble_of(f_);
  if (was_in_ != nullptr) f_->set_bubble(nullptr);
}

outside_scope::~outside_scope() {
  if (was_in_ != nullptr) f_->set_bubble(was_in_);
}

}  // namespace weft::inline WEFT_ABI::detail
