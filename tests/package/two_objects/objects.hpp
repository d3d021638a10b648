// What the two shared objects give.
#pragma once

#include <weft/weft.hpp>

extern "C++" weft::chan<int> produce(int count);
extern "C" int collect(weft::chan<int> numbers);
