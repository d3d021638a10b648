// Mapping by the page: alignment, guards that fault and survive a discard, and refusals.
#include "weft/arch/pages.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "weft/arch/fault.hpp"

using namespace weft::detail;

namespace {

bool is_aligned(const void* p, std::size_t to) {
  return reinterpret_cast<std::uintptr_t>(p) % to == 0;
}

int touch(const std::byte* p) {
  const test::child_end end = test::in_child([p] {
    volatile const std::byte* v = p;
    static_cast<void>(*v);
  });
  return end.signal;
}

int refuse_mmap(const char* call) noexcept { return std::strcmp(call, "mmap") == 0 ? ENOMEM : 0; }

struct hook_scope {
  explicit hook_scope(fault_hook hook) { set_fault_hook_for_testing(hook); }
  ~hook_scope() { set_fault_hook_for_testing(nullptr); }
};

}  // namespace

TEST_CASE("pages: mapped pages are zero and may be written", "[arch][pages][unit]") {
  const std::size_t bytes = 3 * page_size();
  auto* p = static_cast<std::byte*>(map_pages(bytes));
  REQUIRE(p != nullptr);
  CHECK(is_aligned(p, page_size()));
  for (std::size_t i = 0; i < bytes; i += 512) CHECK(p[i] == std::byte{0});
  std::memset(p, 1, bytes);
  discard_pages(p, bytes);
  for (std::size_t i = 0; i < bytes; i += 512) CHECK(p[i] == std::byte{0});
  unmap_pages(p, bytes);
}

TEST_CASE("pages: record slabs are aligned to huge pages", "[arch][pages][unit]") {
  void* p = map_records(100);
  REQUIRE(p != nullptr);
  CHECK(is_aligned(p, std::size_t{2} << 20));
  std::memset(p, 1, std::size_t{2} << 20);
  unmap_records(p, 100);
}

TEST_CASE("pages: stacks are aligned as asked", "[arch][pages][unit]") {
  for (std::size_t alignment :
       {std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{64} << 20}) {
    std::byte* p = map_stacks(alignment, alignment, nullptr);
    REQUIRE(p != nullptr);
    CHECK(is_aligned(p, alignment));
    unmap_pages(p, alignment);
  }
}

TEST_CASE("pages: a guard faults, its neighbours do not, and a discard leaves it",
          "[arch][pages][unit]") {
  const std::size_t page = page_size();
  const bool by_protection = GENERATE(false, true);
  if (by_protection) force_protection_guards_for_testing(100);
  auto* p = static_cast<std::byte*>(map_pages(6 * page));
  REQUIRE(p != nullptr);
  REQUIRE(install_guards(p, 3 * page, 2, page) == 2);
  discard_pages(p, 6 * page);
  for (std::size_t i = 0; i < 6; ++i) CHECK(touch(p + i * page) == (i % 3 == 0 ? SIGSEGV : 0));
  unmap_pages(p, 6 * page);
  forget_guards(2);
  force_protection_guards_for_testing(0);
}

TEST_CASE("pages: guards by protection end at their limit", "[arch][pages][unit]") {
  const std::size_t page = page_size();
  force_protection_guards_for_testing(3);
  auto* p = static_cast<std::byte*>(map_pages(10 * page));
  REQUIRE(p != nullptr);
  errno = 0;
  CHECK(install_guards(p, 2 * page, 5, page) == 3);
  CHECK(errno == ENOMEM);
  forget_guards(1);
  CHECK(install_guards(p + 6 * page, 2 * page, 2, page) == 1);
  forget_guards(3);
  unmap_pages(p, 10 * page);
  force_protection_guards_for_testing(0);
}

TEST_CASE("pages: a refused mapping is null with errno set", "[arch][pages][unit]") {
  static_cast<void>(guards_in_use());  // found out with a mapping of its own
  const hook_scope hook(refuse_mmap);
  errno = 0;
  CHECK(map_pages(page_size()) == nullptr);
  CHECK(errno == ENOMEM);
  CHECK(map_records(1) == nullptr);
  CHECK(map_stacks(std::size_t{1} << 20, std::size_t{1} << 20, nullptr) == nullptr);
}
