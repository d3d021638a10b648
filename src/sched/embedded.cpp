// Driving a scheduler without threads; the protocol stands in weft/sched/embedded.hpp.
#include "weft/sched/embedded.hpp"

#include <algorithm>
#include <utility>

#include "weft/arch/clock.hpp"
#include "weft/arch/fence.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/scheduler.hpp"
#include "weft/sched/switch_fiber.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

constexpr std::uint32_t by_turn = 0;
constexpr std::uint32_t by_time = 1;

const void* this_thread() noexcept { return thread_state_of_caller().error_number; }

}  // namespace

// While it lives, the calling thread is the machine.
class embedded_loop::driver {
 public:
  explicit driver(embedded_loop& loop) noexcept : loop_(loop) {
    machine& m = loop.m_;
    m.thread = thread_state_of_caller();
    describe_own_thread(m.loop);
    loop.thread_.store(m.thread.error_number, relaxed);  // relaxed: compared with one's own only
    loop.signals_.lend();
    set_this_machine(&m);
  }
  ~driver() {
    set_this_machine(nullptr);
    loop_.signals_.take_back();
  }
  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;

 private:
  embedded_loop& loop_;
};

embedded_loop::embedded_loop(scheduler& s, machine& m) : s_(s), m_(m), thread_(this_thread()) {
  m.in_runtime.store(1, relaxed);  // relaxed: of the loop; nobody takes anything from it
  s.poller_->enable_alarm();
  s.poller_sleeps_ = true;
  s.polling_.store(true, relaxed);  // relaxed: nobody else knows the scheduler yet
}

bool embedded_loop::run_once(std::int64_t until) {
  if (current_machine() != nullptr) {
    throw_usage_error(
        "weft::runtime::run_once: called from inside a fiber: the thread that runs it is in a "
        "run_once, or a machine, already");
  }
  if (!claim(until)) return false;
  check_pins();
  const bool ran = drive(until);
  pass_on();
  return ran;
}

bool embedded_loop::run_until(bool (*done)(void* argument), void* argument) {
  // relaxed: only the caller itself can have stored its own
  if (thread_.load(relaxed) != this_thread()) return false;
  static_cast<void>(claim(never));
  check_pins();
  while (!done(argument)) static_cast<void>(drive(never));
  pass_on();
  return true;
}

void embedded_loop::check_may_stop(bool runs) {
  if (!claim(0)) {
    throw_usage_error(
        "weft::runtime: shut down while another thread is inside run_once or block_on");
  }
  if (runs) check_pins();
  pass_on();
}

void embedded_loop::let_pass(std::int64_t until) {
  static_cast<void>(claim(never));
  static_cast<void>(drive(until));
  pass_on();
}

int embedded_loop::descriptor() const noexcept { return s_.poller_->descriptor(); }

void embedded_loop::pin() noexcept {
  ++pins_;
  pinned_to_ = m_.thread.error_number;
}

// --- who drives ---

// False: the time has come before the caller's turn.
bool embedded_loop::claim(std::int64_t until) {
  waiter place;
  multi_wait wait(wait_reason::none, &place, 1);
  place.guard = &lock_;
  place.index = by_turn;
  wait.arm_deadline(until, by_time);
  lock_.lock();
  const bool is_free = !is_driven_;
  if (is_free || until <= monotonic_ns()) {
    is_driven_ = true;
    lock_.unlock();
    return is_free;
  }
  next_drivers_.push_back(place);
  return wait.park(lock_) == by_turn;
}

void embedded_loop::pass_on() noexcept {
  waiter* next = nullptr;
  {
    lock_guard held(lock_);
    next = pop_claimed(next_drivers_);
    is_driven_ = next != nullptr;
  }
  if (next != nullptr) next->state->wake();
}

// By the driver; if it is the wrong thread it is the driver no more.
void embedded_loop::check_pins() {
  if (pins_ == 0 || pinned_to_ == this_thread()) return;
  pass_on();
  throw_usage_error(
      "weft::runtime: a fiber holds a weft::thread_pin on another thread, which alone may run the "
      "fibers until the pin is gone");
}

// --- turns ---

// From asleep to asleep. By the driver.
bool embedded_loop::drive(std::int64_t until) noexcept {
  const driver here(*this);
  s_.poller_->wait(0);
  wake_up();
  bool ran = run_turn();
  while (!ran && monotonic_ns() < until) {
    const std::int64_t deadline = std::min(fall_asleep(), until);
    s_.poller_->wait(s_.has_visible_work() ? 0 : deadline);
    wake_up();
    ran = run_turn();
  }
  // What sysmon does elsewhere.
  if (ran) trimmer_.note_use();
  trimmer_.look(s_, monotonic_ns());
  s_.poller_->set_alarm(std::min(fall_asleep(), trimmer_.next()));
  if (s_.has_visible_work()) s_.break_poller();
  return ran;
}

bool embedded_loop::run_turn() noexcept {
  const std::int64_t end = monotonic_ns() + turn_limit;
  bool ran = false;
  while (fiber* f = next_fiber()) {
    s_.run_fiber(m_, f);
    ran = true;
    if (monotonic_ns() >= end) break;
  }
  return ran;
}

// As find_runnable, but nobody else has anything to steal.
fiber* embedded_loop::next_fiber() noexcept {
  processor& p = *m_.p;
  if (p.is_time_to_look_around()) {
    if (fiber* f = s_.look_around(p)) return f;
  }
  if (fiber* f = s_.next_local(p)) return f;
  if (fiber* f = s_.take_global(p)) return f;
  return s_.look_around(p);
}

// The caller looks for visible work once more afterwards. Gives the time of the first timer.
std::int64_t embedded_loop::fall_asleep() noexcept {
  s_.polling_.store(true, release);  // pairs: sched.polling
  woken_chain nobody;                // the processor is not one too many
  {
    lock_guard held(s_.lock_);
    s_.poller_sleeps_ = true;
    s_.poller_broken_ = false;
    s_.release_to_idle_locked(*std::exchange(m_.p, nullptr), nobody);
  }
  return s_.publish_poll_deadline();
}

void embedded_loop::wake_up() noexcept {
  s_.end_poll();
  static_cast<void>(s_.acquire_idle(m_));  // there is one, and nobody else takes it
}

}  // namespace weft::inline WEFT_ABI::detail
