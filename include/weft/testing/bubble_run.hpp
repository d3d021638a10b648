// Running a function in a bubble: the door to the driver, without types.
#pragma once

#include <source_location>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Calls body(argument) as the first fiber of a new bubble, and drives that until it is over. Throws
// what weft::testing::bubble documents.
void run_bubble(void (*body)(void* argument), void* argument, std::source_location where);

// weft::testing::wait.
void wait_in_bubble();

}  // namespace weft::inline WEFT_ABI::detail
