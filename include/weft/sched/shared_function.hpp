// A callable that a timer or a cancellation starts in a fiber of its own, counted by all who may.
//
// Model       each who may start it, stop it or runs it holds a count; a start passes one on to the
//             new fiber, whose callable is just the pointer. Runs may overlap where a timer is
//             reset while it runs.
// Order       pair shared_function.refs: dropping a count releases -> the last one acquires.
#pragma once

#include <cstdint>
#include <source_location>

#include "weft/arch/atomic.hpp"
#include "weft/sched/park.hpp"

namespace weft::inline WEFT_ABI::detail {

class shared_function {
 public:
  using end_function = void (*)(shared_function*) noexcept;

  shared_function(const shared_function&) = delete;
  shared_function& operator=(const shared_function&) = delete;

  void add_ref() noexcept { refs_.fetch_add(1, relaxed); }  // relaxed: the caller has a count
  void drop_ref() noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) end_(this);  // pairs: shared_function.refs
  }

  // Runs it in a new fiber of `home` (null: as create_fiber says), which takes over a count. Throws
  // what create_fiber throws; the caller still has the count then.
  void start(scheduler* home);
  // Runs it in the calling fiber.
  void run_here();

 protected:
  // With one count. `started` is the started_type of the class that calls.
  shared_function(const callable_type& started, end_function end,
                  std::source_location where) noexcept
      : type_(&started), end_(end), where_(where) {}
  ~shared_function() = default;

 private:
  const callable_type* type_;
  end_function end_;
  std::source_location where_;
  atomic<std::uint32_t> refs_{1};
};

// What a fiber that runs one has as its callable.
struct started_function {
  shared_function* function;
};

// For an Owner that derives from shared_function and runs its callable of class F by call().
template <class Owner, class F>
inline constexpr callable_type started_type{
    [](void* c) { static_cast<Owner*>(static_cast<started_function*>(c)->function)->call(); },
    [](void* c) noexcept { static_cast<started_function*>(c)->function->drop_ref(); },
    sizeof(started_function),
    alignof(started_function),
    type_name<F>(),
};

}  // namespace weft::inline WEFT_ABI::detail
