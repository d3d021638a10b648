// A fiber without a scheduler: a function on a stack of its own, for the tests of arch.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "weft/arch/switch.hpp"
#include "weft/arch/unwind.hpp"

namespace test {

class lone_fiber {
 public:
  explicit lone_fiber(std::function<void(lone_fiber&)> body)
      : body_(std::move(body)), memory_(new std::byte[stack_size]) {
    weft::detail::prepare_entry(self_, {memory_.get(), memory_.get() + stack_size}, &entry);
  }
  ~lone_fiber() { weft::detail::forget_entry(self_); }
  lone_fiber(const lone_fiber&) = delete;
  lone_fiber& operator=(const lone_fiber&) = delete;

  // From outside: runs the body until it pauses or ends. From any thread, one at a time.
  void resume() {
    weft::detail::describe_own_thread(home_);
    entered_ = this;
    cross(home_, self_, false);
  }
  // From the body: back to whoever resumed.
  void pause() { cross(self_, home_, false); }
  // From the body: ends it by forced unwinding.
  [[noreturn]] void exit() { weft::detail::forced_unwind(request_); }

  [[nodiscard]] bool has_ended() const { return ended_; }
  [[nodiscard]] int times_swallowed() const { return swallowed_; }
  [[nodiscard]] const weft::detail::unwind_request& request() const { return request_; }
  // What the jump gave for it; null while it runs.
  [[nodiscard]] const void* context() const { return self_.context.load(weft::detail::relaxed); }
  [[nodiscard]] weft::detail::execution& side() { return self_; }
  // Looks at the exception state that the next fiber of this thread would find.
  std::function<void()> at_bottom = [] {};

 private:
  static constexpr std::size_t stack_size = std::size_t{256} * 1024;

  static void entry(weft::detail::transfer_t t) {
    WEFT_MARK_STACK_BOTTOM();
    lone_fiber& self = *entered_;
    weft::detail::arrived(t, self.self_, weft::detail::thread_state_of_caller());
    self.body_(self);
    self.end();
  }

  static void cross(weft::detail::execution& from, weft::detail::execution& to, bool ends) {
    const auto t = weft::detail::leave_for(from, to, weft::detail::thread_state_of_caller(), ends);
    weft::detail::arrived(t, from, weft::detail::thread_state_of_caller());
  }

  void end() {
    ended_ = true;
    cross(self_, home_, true);
  }

  static inline lone_fiber* entered_ = nullptr;

  std::function<void(lone_fiber&)> body_;
  std::unique_ptr<std::byte[]> memory_;
  weft::detail::execution home_;
  weft::detail::execution self_;
  bool ended_ = false;
  int swallowed_ = 0;
  weft::detail::unwind_request request_{
      [](void* self) noexcept {
        static_cast<lone_fiber*>(self)->at_bottom();
        static_cast<lone_fiber*>(self)->end();
      },
      [](void* self) noexcept { ++static_cast<lone_fiber*>(self)->swallowed_; }, this};
};

}  // namespace test
