// The global operators new and delete, counting.
#include "support/alloc.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

std::atomic<std::size_t> calls{0};
std::atomic<std::ptrdiff_t> live{0};
std::atomic<std::size_t> refused_from{none};

}  // namespace

namespace test {

std::size_t allocations() noexcept { return calls.load(std::memory_order_relaxed); }
std::ptrdiff_t live_bytes() noexcept { return live.load(std::memory_order_relaxed); }

refuse_allocations::refuse_allocations(std::size_t size) noexcept {
  refused_from.store(size, std::memory_order_relaxed);
}
refuse_allocations::~refuse_allocations() { refused_from.store(none, std::memory_order_relaxed); }

}  // namespace test

#if !WEFT_TSAN

namespace {

void* take(std::size_t size, std::size_t align) noexcept {
  if (size >= refused_from.load(std::memory_order_relaxed)) return nullptr;
  if (size == 0) size = 1;
  void* p = align <= alignof(std::max_align_t)
                ? std::malloc(size)
                : std::aligned_alloc(align, (size + align - 1) / align * align);
  if (p == nullptr) return nullptr;
  calls.fetch_add(1, std::memory_order_relaxed);
  live.fetch_add(static_cast<std::ptrdiff_t>(::malloc_usable_size(p)), std::memory_order_relaxed);
  return p;
}

void* take_or_throw(std::size_t size, std::size_t align) {
  void* p = take(size, align);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

void give(void* p) noexcept {
  if (p == nullptr) return;
  live.fetch_sub(static_cast<std::ptrdiff_t>(::malloc_usable_size(p)), std::memory_order_relaxed);
  std::free(p);
}

constexpr std::size_t plain = alignof(std::max_align_t);

std::size_t value(std::align_val_t a) noexcept { return static_cast<std::size_t>(a); }

}  // namespace

void* operator new(std::size_t n) { return take_or_throw(n, plain); }
void* operator new[](std::size_t n) { return take_or_throw(n, plain); }
void* operator new(std::size_t n, std::align_val_t a) { return take_or_throw(n, value(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return take_or_throw(n, value(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return take(n, plain); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return take(n, plain); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return take(n, value(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return take(n, value(a));
}
void operator delete(void* p) noexcept { give(p); }
void operator delete[](void* p) noexcept { give(p); }
void operator delete(void* p, std::size_t) noexcept { give(p); }
void operator delete[](void* p, std::size_t) noexcept { give(p); }
void operator delete(void* p, std::align_val_t) noexcept { give(p); }
void operator delete[](void* p, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { give(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { give(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { give(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { give(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { give(p); }

#endif
