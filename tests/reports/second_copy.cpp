// A module with a copy of weft of its own, for the test that it is refused.
#include "weft/runtime.hpp"

extern "C" int weft_second_copy_entry() {
  return weft::run([] { return 1; });
}
