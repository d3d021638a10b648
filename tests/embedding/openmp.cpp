// OpenMP inside blocking: its teams belong to the threads on which the fibers' calls run.
#include <omp.h>

#include <atomic>
#include <cstdio>
#include <vector>

#include "weft/weft.hpp"

namespace {

long sum_of_squares(int n) {
  long sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(2)
  for (int i = 0; i < n; ++i) sum += static_cast<long>(i) * i;
  return sum;
}

constexpr int n = 10'000;
constexpr long expected = static_cast<long>(n - 1) * n * (2 * n - 1) / 6;

int wrong_sums() {
  std::atomic<int> wrong{0};
  std::atomic<int> teams{0};
  weft::wait_group group;
  for (int f = 0; f < 8; ++f) {
    group.go([&] {
      for (int i = 0; i < 20; ++i) {
        if (weft::blocking([] { return sum_of_squares(n); }) != expected) ++wrong;
        weft::yield();  // the next team may be another thread's
        const int team = weft::blocking([] {
          int size = 0;
#pragma omp parallel num_threads(2)
#pragma omp single
          size = omp_get_num_threads();
          return size;
        });
        if (team == 2) ++teams;
      }
    });
  }
  group.wait();
  return teams != 0 ? wrong.load() : -1;  // -1: nothing was parallel
}

}  // namespace

int main() {
  for (const unsigned procs : {1U, 2U, 4U}) {
    weft::options options;
    options.procs = procs;
    const int wrong = weft::run(wrong_sums, options);
    if (wrong != 0) {
      std::fprintf(stderr, "openmp: %d wrong with %u processors\n", wrong, procs);
      return 1;
    }
  }
  weft::runtime runtime(weft::options{.own_threads = false});
  return runtime.block_on(wrong_sums) == 0 ? 0 : 1;
}
