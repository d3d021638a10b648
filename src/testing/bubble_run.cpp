// The driver of a bubble: fires its timers, moves its clock, and finds out that it is over.
//
// Idle        what the driver does when the bubble has become idle, in this order: fire timers that
//             are due; let the fiber in testing::wait go on; return if no fiber is left; move the
//             clock to the next timer; else nothing can happen any more from inside.
// First       once the first fiber has ended the clock stands still.
// Deadlock    the fibers that are left are unwound before the driver throws: they may refer to what
//             its caller owns. While they unwind the clock moves again, for destructors that sleep.
//             What waits in a destructor for ever stays, and the bubble's record with it.
#include "weft/testing/bubble_run.hpp"

#include <exception>
#include <string>

#include "weft/arch/report.hpp"
#include "weft/base/error.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/bubble.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/interrupt.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// What the first fiber runs.
struct first_call {
  void (*body)(void* argument);
  void* argument;
  std::exception_ptr* error;

  void operator()() const {
    try {
      body(argument);
    } catch (...) {
      if (is_being_unwound()) throw;
      *error = std::current_exception();
    }
  }
};

class bubble_driver {
 public:
  bubble_driver() : f_(*this_fiber_or_null()), b_(bubble_state::make()) { f_.set_bubble(&b_); }
  ~bubble_driver() {
    f_.set_bubble(nullptr);
    if (b_.fibers() == 0) b_.end();
  }
  bubble_driver(const bubble_driver&) = delete;
  bubble_driver& operator=(const bubble_driver&) = delete;

  void run(void (*body)(void*), void* argument, std::source_location where) {
    std::exception_ptr error;
    fiber* first = make_fiber(first_call{body, argument, &error}, where, {.home = f_.home});
    b_.set_first(*first);
    submit(first);
    std::string deadlock;
    do {
      b_.wait_until_idle();
      while (b_.is_idle() && step(deadlock)) {
      }
    } while (b_.fibers() != 0 && deadlock.empty());
    if (!deadlock.empty()) unwind_rest();
    if (error != nullptr) std::rethrow_exception(error);
    if (!deadlock.empty()) throw_deadlock(deadlock);
  }

 private:
  // Of an idle bubble. False: it is over, or blocked for ever.
  bool step(std::string& deadlock) {
    const bool has_ended = b_.first_has_ended();
    if (!has_ended && b_.timers.next_due() <= b_.now()) {
      b_.timers.run_due(b_.now());
      return true;
    }
    if (b_.release_waiting()) return true;
    if (b_.fibers() == 0) return false;
    if (!has_ended && advance()) return true;
    if (b_.may_be_woken_from_outside()) {
      b_.wait_until_idle();
      return true;
    }
    deadlock = has_ended
                   ? "deadlock: main bubble goroutine has exited but blocked goroutines remain"
                   : "deadlock: all goroutines in bubble are blocked";
    deadlock += "\n\n";
    report out([](void* to, const char* text,
                  std::size_t size) { static_cast<std::string*>(to)->append(text, size); },
               &deadlock);
    dump_bubble(b_, out);
    out.flush();
    return false;
  }

  // False: there is no timer.
  bool advance() noexcept {
    const std::int64_t next = b_.timers.next_due();
    if (next == never) return false;
    b_.move_clock(next);
    b_.timers.run_due(next);
    return true;
  }

  void unwind_rest() {
    while (b_.fibers() != 0) {
      fiber_chain taken = take_blocked();
      const bool has_taken = !taken.empty();
      while (fiber* f = taken.pop_front()) ready(f);
      if (!has_taken && !advance()) return;
      b_.wait_until_idle();
    }
  }

  // Claims those that can be unwound where they are blocked.
  fiber_chain take_blocked() {
    struct search {
      bubble_driver& self;
      fiber_chain taken;
    } all{*this, {}};
    for_each_scheduler(
        [](scheduler& s, void* argument) {
          auto& [self, taken] = *static_cast<search*>(argument);
          s.for_each_record([&](fiber& f) {
            if (f.bubble() == &self.b_ && &f != &self.f_ && take(f)) taken.push_back(&f);
          });
        },
        &all);
    return all.taken;
  }

  // Somebody outside may be waking it just now: held, it does not run on meanwhile.
  static bool take(fiber& f) noexcept {
    const hold standing(f.self);
    // relaxed: held
    const bool is_blocked = f.durably.load(relaxed) != durability::none;
    if (standing.context() == nullptr || !is_blocked) return false;
    const bool unwinds = f.extra() != nullptr && f.extra()->unwinding.is_active();
    if (unwinds || f.keeps_stack != 0 || !interrupt(f)) return false;
    f.exits = true;
    return true;
  }

  fiber& f_;
  bubble_state& b_;
};

void drive(void (*body)(void*), void* argument, std::source_location where) {
  bubble_driver().run(body, argument, where);
}

}  // namespace

void run_bubble(void (*body)(void*), void* argument, std::source_location where) {
  if (const fiber* f = this_fiber_or_null()) {
    if (f->bubble() != nullptr)
      throw_usage_error("weft::testing::bubble: called from within a synctest bubble");
    drive(body, argument, where);
    return;
  }
  const auto drive_it = [=] { drive(body, argument, where); };
  scheduler* running = scheduler::of_caller_or_null();
  if (running != nullptr && running->options().owner != nullptr) {
    static_cast<runtime*>(running->options().owner)->block_on(drive_it, where);
    return;
  }
  options o;
  o.on_exit = exit_policy::unwind;
  run(drive_it, o, where);
}

void wait_in_bubble() {
  const fiber* f = this_fiber_or_null();
  bubble_state* b = f == nullptr ? nullptr : f->bubble();
  if (b == nullptr) throw_usage_error("weft::testing::wait: goroutine is not in a bubble");
  b->wait_for_others();
}

}  // namespace weft::inline WEFT_ABI::detail
