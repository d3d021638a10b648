// Stacks: sizes, order of reuse, guards, memory given back, refusals, and the way back from an
// address.
#include "weft/arch/stack.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/pages.hpp"

#if WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

using namespace weft::detail;

namespace {

constexpr std::size_t kib = 1024;

std::vector<stack> take(stack_pool& pool, std::size_t n) {
  std::vector<stack> stacks(n);
  stacks.resize(pool.allocate_batch(stacks.data(), n));
  return stacks;
}

void give_back(stack_pool& pool, const std::vector<stack>& stacks) {
  pool.release_batch(stacks.data(), stacks.size());
}

// Writes to the uppermost bytes, as frames would.
void use(const stack& s, std::size_t bytes) { std::memset(s.top - bytes, 1, bytes); }

std::size_t resident_pages(const stack& s) {
  std::vector<unsigned char> pages(s.size() / page_size());
  REQUIRE(::mincore(s.limit, s.size(), pages.data()) == 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return (p & 1) != 0; }));
}

std::size_t resident_pages(const std::vector<stack>& stacks) {
  std::size_t sum = 0;
  for (const stack& s : stacks) sum += resident_pages(s);
  return sum;
}

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * page_size();
}

int signal_of_touch(std::byte* p) {
  return test::in_child([p] { *const_cast<volatile std::byte*>(p) = std::byte{1}; }).signal;
}

// Guards made by protection, at most `limit`, for a scope.
struct protection_scope {
  explicit protection_scope(std::size_t limit) { force_protection_guards_for_testing(limit); }
  ~protection_scope() { force_protection_guards_for_testing(0); }
};

// Refuses the n-th call of a name and the `times - 1` that follow.
struct refusals {
  static inline const char* call;
  static inline std::atomic<int> before;
  static inline std::atomic<int> times;
  static inline int error;

  static int hook(const char* name) noexcept {
    if (std::strcmp(name, call) != 0) return 0;
    if (before.fetch_sub(1) > 0) return 0;
    return times.fetch_sub(1) > 0 ? error : 0;
  }

  refusals(const char* name, int n, int how_often, int with) {
    call = name;
    before = n - 1;
    times = how_often;
    error = with;
    static_cast<void>(guards_in_use());  // found out before, undisturbed
    set_fault_hook_for_testing(hook);
  }
  ~refusals() { set_fault_hook_for_testing(nullptr); }
};

}  // namespace

TEST_CASE("stack: sizes are powers of two, guard included", "[arch][stack][unit]") {
  struct {
    std::size_t asked, given;
  } const cases[] = {{0, 16 * kib},        {1, 16 * kib},          {16 * kib, 16 * kib},
                     {17 * kib, 32 * kib}, {256 * kib, 256 * kib}, {256 * kib + 1, 512 * kib}};
  for (const auto& c : cases) {
    stack_pool pool(c.asked);
    CHECK(pool.stack_size() == std::max(c.given, 4 * page_size()));
    const stack s = pool.allocate();
    REQUIRE(s);
    CHECK(s.size() == pool.usable_size());
    CHECK(reinterpret_cast<std::uintptr_t>(s.top) % pool.stack_size() == 0);
    CHECK(pool.stack_size() - pool.usable_size() >= page_size());
    CHECK(pool.stack_size() - pool.usable_size() <= pool.stack_size() / 4);
    pool.release(s);
  }
}

TEST_CASE("stack: a stack larger than a slab works", "[arch][stack][unit]") {
  stack_pool pool(stack_pool::slab_size * 2);
  const std::vector<stack> stacks = take(pool, 3);
  REQUIRE(stacks.size() == 3);
  for (const stack& s : stacks) {
    CHECK(s.size() == pool.usable_size());
    use(s, 64 * kib);
    *s.limit = std::byte{1};
  }
  give_back(pool, stacks);
}

TEST_CASE("stack: a guard faults from its first byte to its last", "[arch][stack][unit]") {
  const std::size_t limit =
      GENERATE(std::size_t{0}, std::size_t{100});  // by the kernel's best, or not
  const protection_scope guards(limit);
  stack_pool pool(256 * kib);
  const std::vector<stack> stacks = take(pool, 2);
  REQUIRE(stacks.size() == 2);
  for (const stack& s : stacks) {
    CHECK(signal_of_touch(s.limit - 1) == SIGSEGV);
    CHECK(signal_of_touch(s.top - pool.stack_size()) == SIGSEGV);
    CHECK(signal_of_touch(s.limit) == 0);
    CHECK(signal_of_touch(s.top - 1) == 0);
  }
  give_back(pool, stacks);
}

TEST_CASE("stack: guards still fault after their stacks were used and trimmed",
          "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  const std::vector<stack> stacks = take(pool, 8);
  for (const stack& s : stacks) use(s, s.size());
  give_back(pool, stacks);
  pool.trim(0);
  for (const stack& s : stacks) CHECK(signal_of_touch(s.limit - 1) == SIGSEGV);
}

TEST_CASE("stack: fresh stacks come in memory order", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  const std::vector<stack> stacks = take(pool, 300);
  REQUIRE(stacks.size() == 300);
  for (std::size_t i = 1; i < stacks.size(); ++i) {
    CHECK(stacks[i].top == stacks[i - 1].top + pool.stack_size());
  }
  give_back(pool, stacks);
}

TEST_CASE("stack: the last released is the first to be used again", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  std::vector<stack> stacks = take(pool, 10);
  give_back(pool, stacks);
  CHECK(pool.in_use() == 0);
  std::vector<stack> again;
  for (int i = 0; i < 4; ++i) again.push_back(pool.allocate());
  const std::vector<stack> rest = take(pool, 6);
  again.insert(again.end(), rest.begin(), rest.end());
  std::reverse(stacks.begin(), stacks.end());
  CHECK(again == stacks);
  CHECK(pool.in_use() == 10);
  give_back(pool, again);
}

TEST_CASE("stack: no page is touched before its user does", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  std::vector<stack> stacks = take(pool, 200);
  CHECK(resident_pages(stacks) == 0);
  give_back(pool, stacks);
  stacks = take(pool, 200);
  CHECK(resident_pages(stacks) == 0);
  use(stacks[100], 1);
  CHECK(resident_pages(stacks) == 1);
  give_back(pool, stacks);
}

TEST_CASE("stack: a million stacks need few mappings", "[arch][stack][os]") {
  if (guards_in_use() != guard_kind::light || WEFT_ASAN || WEFT_TSAN) {
    WARN("skipped: guards by protection, or a sanitizer that keeps a record of each stack");
    return;
  }
  const std::size_t before = mappings();
  {
    stack_pool pool(64 * kib);
    const std::vector<stack> stacks = take(pool, 1'000'000);
    REQUIRE(stacks.size() == 1'000'000);
    CHECK(mappings() < before + 100);
    CHECK(resident_pages(stacks.back()) == 0);
    give_back(pool, stacks);
  }
  CHECK(mappings() <= before + 2);  // the heap may have grown
}

TEST_CASE("stack: trim gives the memory of idle stacks back", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  const std::vector<stack> stacks = take(pool, 400);
  for (const stack& s : stacks) use(s, 32 * kib);
  give_back(pool, stacks);
  const std::size_t warm = resident_bytes();
  const std::size_t pages = resident_pages(stacks);
  CHECK(pages == 400 * 32 * kib / page_size());

  SECTION("all of it") {
    pool.trim(0);
    CHECK(resident_pages(stacks) == 0);
#if !WEFT_ASAN && !WEFT_TSAN
    CHECK(resident_bytes() + pages * page_size() / 2 < warm);
#else
    static_cast<void>(warm);
#endif
  }
  SECTION("but for those that were used last, of which the deep part goes") {
    pool.trim(100);
    const std::vector<stack> older(stacks.begin(), stacks.begin() + 300);
    const std::vector<stack> newer(stacks.begin() + 300, stacks.end());
    CHECK(resident_pages(older) == 0);
    for (const stack& s : newer) CHECK(resident_pages(s) == 16 * kib / page_size());
  }
  SECTION("in pieces, and again") {
    for (std::size_t keep : {350u, 200u, 201u, 10u}) {
      pool.trim(keep);
      CHECK(resident_pages(stacks) <= keep * 16 * kib / page_size());
    }
    CHECK(resident_pages(stacks) == 10 * 16 * kib / page_size());
    pool.trim(0);
    CHECK(resident_pages(stacks) == 0);
  }
}

TEST_CASE("stack: trim_unused leaves what was wanted since the last call", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  const std::vector<stack> stacks = take(pool, 400);
  for (const stack& s : stacks) use(s, 32 * kib);
  give_back(pool, stacks);
  CHECK_FALSE(pool.trim_unused(10));  // all were wanted
  CHECK(resident_pages(stacks) == 400 * 32 * kib / page_size());

  const std::vector<stack> some = take(pool, 100);
  give_back(pool, std::vector<stack>(some.rbegin(), some.rend()));
  CHECK_FALSE(pool.trim_unused(10));
  CHECK(resident_pages(stacks) == 100 * 32 * kib / page_size());
  CHECK(resident_pages(some) == 100 * 32 * kib / page_size());

  CHECK(pool.trim_unused(10));
  CHECK(resident_pages(stacks) == 10 * 16 * kib / page_size());
  CHECK(pool.trim_unused(0));
  CHECK(resident_pages(stacks) == 0);
}

TEST_CASE("stack: trimmed stacks come back in memory order, each once", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  std::vector<stack> stacks = take(pool, 500);
  std::vector<stack> shuffled = stacks;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(7));
  give_back(pool, shuffled);
  pool.trim(0);
  const std::vector<stack> again = take(pool, 500);
  CHECK(again == stacks);
  give_back(pool, again);
}

TEST_CASE("stack: trim keeps the order of the stacks that it keeps", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  std::vector<stack> stacks = take(pool, 60);
  give_back(pool, stacks);
  pool.trim(20);
  pool.trim(30);
  std::vector<stack> kept = take(pool, 20);
  std::reverse(kept.begin(), kept.end());
  CHECK(kept == std::vector<stack>(stacks.begin() + 40, stacks.end()));
  give_back(pool, kept);
}

TEST_CASE("stack: shrink gives the deep part of a stack back", "[arch][stack][unit]") {
  stack_pool pool(256 * kib);
  const stack s = pool.allocate();
  use(s, s.size());
  stack_pool::shrink(s, 3 * page_size() - 1);
  CHECK(resident_pages(s) == 3);
  CHECK(s.top[-1] == std::byte{1});
  stack_pool::shrink(s, s.size());
  CHECK(resident_pages(s) == 3);
  pool.release(s);
}

TEST_CASE("stack: find_stack tells a stack, its guard and what is neither", "[arch][stack][unit]") {
  stack_place place;
  int local = 0;
  CHECK_FALSE(find_stack(&local, place));
  CHECK_FALSE(find_stack(nullptr, place));
  std::vector<stack> gone;
  {
    stack_pool small(64 * kib);
    stack_pool large(1024 * kib);
    for (stack_pool* pool : {&small, &large}) {
      const std::vector<stack> stacks = take(*pool, 70);
      for (const stack& s : stacks) {
        for (std::byte* p : {s.limit, s.top - 1, s.top - 100}) {
          REQUIRE(find_stack(p, place));
          CHECK(place.in == s);
          CHECK_FALSE(place.in_guard);
        }
        for (std::byte* p : {s.limit - 1, s.top - pool->stack_size()}) {
          REQUIRE(find_stack(p, place));
          CHECK(place.in == s);
          CHECK(place.in_guard);
          CHECK(place.guard == s.top - pool->stack_size());
        }
      }
      give_back(*pool, stacks);
      gone.insert(gone.end(), stacks.begin(), stacks.end());
    }
  }
  for (const stack& s : gone) CHECK_FALSE(find_stack(s.limit, place));
}

TEST_CASE("stack: the end of a pool leaves no mapping", "[arch][stack][unit]") {
  {
    stack_pool warm_up(64 * kib);
  }
  const std::size_t before = mappings();
  for (int i = 0; i < 20; ++i) {
    stack_pool pool(64 * kib);
    const std::vector<stack> stacks = take(pool, 3000);  // three slabs
    REQUIRE(stacks.size() == 3000);
    give_back(pool, stacks);
  }
  CHECK(mappings() < before + 20);  // of 60 slabs; allocators and sanitizers map for themselves
}

TEST_CASE("stack: what is kept mapped outlives the pool", "[arch][stack][unit]") {
  const test::child_end end = test::in_child([] {
    stack s;
    {
      stack_pool pool(64 * kib);
      s = pool.allocate();
      use(s, 64);
      pool.keep_mapped(s);
    }
    stack_place place;
    const bool there = s.top[-1] == std::byte{1} && find_stack(s.limit, place) && place.in == s;
    std::_Exit(there ? 3 : 4);
  });
  CHECK(end.status == 3);
}

#if !WEFT_ASAN && !WEFT_TSAN  // their shadow needs more address space than the limit leaves
TEST_CASE("stack: refused by the system, a pool gives what it can and then nothing",
          "[arch][stack][unit]") {
  const test::child_end end = test::in_child([] {
    static_cast<void>(guards_in_use());
    std::ifstream statm("/proc/self/statm");
    std::size_t pages = 0;
    statm >> pages;
    const std::size_t room = 24 * kib * kib;  // less than a slab
    const rlimit limit{pages * page_size() + room, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &limit);

    stack_pool pool(256 * kib);
    std::size_t n = 0;
    stack last;
    while (const stack s = pool.allocate()) {
      use(s, 8);
      last = s;
      ++n;
    }
    const bool told = pool.last_refusal() == stack_refusal::memory && pool.in_use() == n;
    pool.release(last);
    const bool again = pool.allocate() == last && !pool.allocate();
    std::printf("%zu", n);
    std::fflush(stdout);
    std::_Exit(told && again ? 3 : 4);
  });
  CHECK(end.status == 3);
  const int n = std::stoi(end.out);
  CHECK(n >= 64);  // of 96 that would fit
  CHECK(n <= 96);
}
#endif

TEST_CASE("stack: at the limit of mappings a pool refuses and says so", "[arch][stack][unit]") {
  const protection_scope guards(10);
  {
    stack_pool pool(64 * kib);
    std::vector<stack> stacks = take(pool, 20);
    CHECK(stacks.size() == 10);
    CHECK(pool.last_refusal() == stack_refusal::map_limit);
    CHECK_FALSE(pool.allocate());
    pool.release(stacks.back());
    CHECK(pool.allocate() == stacks.back());
    give_back(pool, stacks);
  }
  stack_pool next(64 * kib);  // the guards of the first are forgotten
  const std::vector<stack> stacks = take(next, 10);
  CHECK(stacks.size() == 10);
  give_back(next, stacks);
}

TEST_CASE("stack: any refused system call leaves a pool that works", "[arch][stack][unit]") {
  const char* call = GENERATE("mmap", "madvise", "process_madvise");
  const int error = GENERATE(ENOMEM, EINTR, EAGAIN);
  for (int n = 1; n <= 6; ++n) {
    for (int times : {1, 1000}) {
      stack_pool pool(64 * kib);
      std::vector<stack> stacks;
      {
        const refusals refuse(call, n, times, error);
        stacks = take(pool, 100);
        CHECK(pool.in_use() == stacks.size());
        pool.trim(0);
      }
      const std::vector<stack> more = take(pool, 100);
      REQUIRE(more.size() == 100);
      for (const stack& s : more) use(s, 8);
      give_back(pool, stacks);
      give_back(pool, more);
      CHECK(pool.in_use() == 0);
    }
  }
}

TEST_CASE("stack: guards are complete where the kernel takes no batches", "[arch][stack][unit]") {
  const test::child_end end = test::in_child([] {  // the refusal is remembered for the process
    std::vector<stack> stacks;
    stack_pool pool(64 * kib);
    {
      const refusals refuse("process_madvise", 1, 1000, ENOSYS);
      stacks = take(pool, 40);
    }
    if (stacks.size() == 40) *const_cast<volatile std::byte*>(stacks[39].limit - 1) = std::byte{1};
  });
  CHECK(end.signal == SIGSEGV);
}

#if WEFT_ASAN
TEST_CASE("stack: a released stack is unpoisoned", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  const stack s = pool.allocate();
  __asan_poison_memory_region(s.top - 512, 128);
  __asan_poison_memory_region(s.limit + 4096, 64);
  pool.release(s);
  CHECK(__asan_region_is_poisoned(s.limit, s.size()) == nullptr);
}

namespace {
// A block that only the stack knows, at the address hidden from the caller's own stack.
[[gnu::noinline]] void hide_block_in(const stack& s) {
  void* block = std::malloc(100);
  std::memcpy(s.top - 64, &block, sizeof block);
  asm volatile("" ::: "memory");
}
}  // namespace

TEST_CASE("stack: the leak check follows pointers on stacks in use", "[arch][stack][unit]") {
  stack_pool pool(64 * kib);
  const stack s = pool.allocate();
  hide_block_in(s);
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  void* block = nullptr;
  std::memcpy(&block, s.top - 64, sizeof block);
  std::free(block);
  pool.release(s);
}
#endif

TEST_CASE("stack S1: no stack is in two hands", "[arch][stack][stress]") {
  // Each thread writes its mark into the stacks that it holds, and must find it there at the end.
  stack_pool pool(16 * kib);
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 1; t <= 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<std::pair<stack, unsigned>> held;
      unsigned next = t;
      for (int round = 0; round < 20000; ++round) {
        stack batch[8];
        const std::size_t n = pool.allocate_batch(batch, random() % 8 + 1);
        for (std::size_t i = 0; i < n; ++i) {
          next += 4;
          std::memcpy(batch[i].top - sizeof next, &next, sizeof next);
          held.emplace_back(batch[i], next);
        }
        while (held.size() > random() % 64) {
          std::swap(held[random() % held.size()], held.back());
          unsigned found = 0;
          std::memcpy(&found, held.back().first.top - sizeof found, sizeof found);
          if (found != held.back().second) wrong.fetch_add(1);
          pool.release(held.back().first);
          held.pop_back();
        }
      }
      for (const auto& [s, mark] : held) pool.release(s);
    });
  }
  threads.emplace_back([&] {
    for (std::size_t keep = 0; !done.load(); keep = (keep + 7) % 40) pool.trim(keep);
  });
  for (std::size_t t = 0; t < 3; ++t) threads[t].join();
  done.store(true);
  threads.back().join();
  CHECK(wrong.load() == 0);
  CHECK(pool.in_use() == 0);
}

TEST_CASE("stack: find_stack is right while other pools come and go", "[arch][stack][stress]") {
  stack_pool pool(64 * kib);
  const std::vector<stack> stacks = take(pool, 4);
  std::atomic<int> running{2};
  std::atomic<int> wrong{0};
  std::vector<std::thread> others;
  for (std::size_t size : {16 * kib, 512 * kib}) {
    others.emplace_back([&, size] {
      for (int i = 0; i < 2000; ++i) {
        stack_pool other(size);
        const stack s = other.allocate();
        stack_place place;
        if (!s || !find_stack(s.limit, place) || place.in != s) wrong.fetch_add(1);
        other.release(s);
      }
      running.fetch_sub(1);
    });
  }
  for (std::size_t i = 0; running.load() != 0; ++i) {
    const stack& s = stacks[i % stacks.size()];
    stack_place place;
    if (!find_stack(s.limit - 1, place) || place.in != s || !place.in_guard) wrong.fetch_add(1);
  }
  for (std::thread& t : others) t.join();
  CHECK(wrong.load() == 0);
  give_back(pool, stacks);
}
