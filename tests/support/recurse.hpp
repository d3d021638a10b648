// A recursion that only the end of the stack ends.
#pragma once

namespace test {

#if defined(__clang__)
[[clang::optnone]]
#else
[[gnu::noinline, gnu::optimize("O0")]]
#endif
inline int recurse(int depth) {
  if (depth < 0) return 0;
  volatile char frame[512];
  frame[0] = static_cast<char>(depth);
  return recurse(depth + 1) + frame[0];
}

}  // namespace test
