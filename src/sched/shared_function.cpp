// Starting a shared function.
#include "weft/sched/shared_function.hpp"

#include <new>

namespace weft::inline WEFT_ABI::detail {

void shared_function::start(scheduler* home) {
  fiber_attributes attributes;
  attributes.home = home;
  const new_fiber made = create_fiber(*type_, where_, attributes);
  ::new (made.callable) started_function{this};
  submit(made.f);
}

void shared_function::run_here() {
  started_function self{this};
  type_->invoke(&self);
}

}  // namespace weft::inline WEFT_ABI::detail
