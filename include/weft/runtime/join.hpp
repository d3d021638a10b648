// What a spawned fiber and the handle that joins it share.
//
// Model       counted by both sides. The fiber's side completes it when its callable has been
//             destroyed: with a value, an exception, or neither (it left by exit_fiber). Joiners
//             wait in a list under the lock.
// Order       pair join.refs: dropping releases -> the last one acquires before it deletes.
//             The value is visible to joiners by the lock.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

#include "weft/arch/atomic.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/sched/cancel_source.hpp"
#include "weft/sched/owner_mark.hpp"
#include "weft/sched/park.hpp"
#include "weft/sched/waiter.hpp"

namespace weft::inline WEFT_ABI::detail {

class join_core {
 public:
  join_core(const join_core&) = delete;
  join_core& operator=(const join_core&) = delete;

  void add_ref() noexcept { refs_.fetch_add(1, relaxed); }  // relaxed: the caller has one
  // True: it was the last.
  [[nodiscard]] bool drop_ref() noexcept {
    return refs_.fetch_sub(1, acq_rel) == 1;  // pairs: join.refs
  }

  // By the fiber that runs the callable, for reports.
  void note_runner() noexcept { runner_.set(); }
  void fail(std::exception_ptr error) noexcept { error_ = std::move(error); }
  void succeed() noexcept { has_value_ = true; }
  // Wakes the joiners; the fiber's side touches nothing of it afterwards but its reference. Where
  // nobody will join, an exception ends the process.
  void complete() noexcept;
  // Nobody will join.
  void detach() noexcept;

  // Blocks until completed, or until `source` (may be null) fires: false.
  [[nodiscard]] bool wait(cancel_source* source);
  [[nodiscard]] bool is_complete() const noexcept;
  // The bubble of whoever made it, which is the fiber's too.
  [[nodiscard]] bubble_id home() const noexcept { return home_; }

  // After completion. Throws the exception, or that there is no value.
  // By the joiner; from then on the exception is its own.
  void throw_if_failed();
  // False: the fiber left by exit_fiber.
  [[nodiscard]] bool has_outcome() const noexcept { return has_value_ || error_ != nullptr; }
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

 protected:
  join_core() = default;
  ~join_core() = default;

 private:
  const bubble_id home_ = bubble_of_caller();
  mutable spinlock lock_;
  bool is_complete_ = false;  // guarded by lock_
  bool is_detached_ = false;  // guarded by lock_
  bool has_value_ = false;
  wait_list joiners_;  // guarded by lock_
  owner_mark runner_;
  std::exception_ptr error_;
  atomic<int> refs_{1};
};

template <class R>
class join_state final : public join_core {
 public:
  using stored = std::conditional_t<
      std::is_void_v<R>, std::monostate,
      std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>>;

  template <class F>
  void run(F& f) {
    note_runner();
    try {
      if constexpr (std::is_void_v<R>) {
        f();
      } else if constexpr (std::is_reference_v<R>) {
        value_.emplace(std::addressof(f()));
      } else {
        value_.emplace(f());
      }
      succeed();
    } catch (...) {
      // Forced unwinding passes; there will be no value.
      if (is_being_unwound()) throw;
      fail(std::current_exception());
    }
  }

  // After completion; moves the value out.
  R take() {
    throw_if_failed();
    if constexpr (std::is_reference_v<R>) {
      return static_cast<R>(**value_);
    } else if constexpr (!std::is_void_v<R>) {
      return std::move(*value_);
    }
  }

 private:
  std::optional<stored> value_;
};

template <class R>
class join_ref {
 public:
  join_ref() noexcept = default;
  // Takes over one reference.
  explicit join_ref(join_state<R>* state) noexcept : state_(state) {}
  join_ref(join_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  join_ref& operator=(join_ref&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~join_ref() {
    if (state_ != nullptr && state_->drop_ref()) delete state_;
  }
  join_state<R>* operator->() const noexcept { return state_; }
  join_state<R>& operator*() const noexcept { return *state_; }
  explicit operator bool() const noexcept { return state_ != nullptr; }
  [[nodiscard]] join_ref share() const noexcept {
    state_->add_ref();
    return join_ref(state_);
  }

 private:
  join_state<R>* state_ = nullptr;
};

// What a spawned fiber runs. The completion comes last, when the callable is gone.
template <class R, class F>
class joined_callable {
 public:
  joined_callable(join_ref<R> state, F&& f) : completion_{std::move(state)}, f_(std::move(f)) {}
  void operator()() { completion_.state->run(f_); }

 private:
  struct completion {
    join_ref<R> state;
    explicit completion(join_ref<R> s) noexcept : state(std::move(s)) {}
    completion(completion&&) noexcept = default;
    completion& operator=(completion&&) = delete;
    ~completion() {
      if (!state) return;
      stop_counting(this);  // the first member: its address is the callable's
      state->complete();
    }
  };
  completion completion_;
  F f_;
};

// ~join_handle without a join: joins. An exception then ends the process with a report, as nobody
// else would be told; during unwinding it is printed and dropped.
void join_at_end(join_core& state) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
