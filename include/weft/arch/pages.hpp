// Memory by the page: the only place that maps, protects and advises.
//
// Why unsafe  a range unmapped or discarded too early is somebody's stack. Nothing here knows who
//             uses a range: the caller owns it, whole.
// Errors      a refusal is null, false or a smaller count, with errno set; never an exception.
// Guards      lightweight ones (Linux 6.13) are marks in the page table: they cost no mapping, and
//             they survive discard_pages(). The kernel's word is not taken for it: some emulators
//             accept the call and install nothing, so guards_in_use() looks once whether a guard
//             faults. Otherwise guards are made by protection, at two mappings each, up to the
//             point where the process would come near its limit of mappings: beyond it malloc would
//             fail too.
// Seen by     tests "pages: ..." and "stack: ..."; calls that may be refused pass arch/fault.hpp.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// The page size of the system; the same for the life of the process.
[[nodiscard]] std::size_t page_size() noexcept;

// Readable, writable, zeroed, committed as it is touched.
[[nodiscard]] void* map_pages(std::size_t bytes) noexcept;

// The same for many small records that are used densely: in huge pages where the system has them.
// `bytes` is rounded up to 2 MiB, the start is aligned to that; unmap with the same number.
[[nodiscard]] void* map_records(std::size_t bytes) noexcept;

// Address space for stacks, aligned to `alignment` (a power of two, whole pages), never in huge
// pages. It lies at `wish` if that is free, so that neighbouring slabs share one mapping; null:
// anywhere.
[[nodiscard]] std::byte* map_stacks(std::size_t bytes, std::size_t alignment,
                                    std::byte* wish) noexcept;

void unmap_pages(void* start, std::size_t bytes) noexcept;
// Undoes map_records(bytes).
void unmap_records(void* start, std::size_t bytes) noexcept;

// Pages where pointers to allocated memory may stand: LeakSanitizer looks there.
void register_leak_roots(void* start, std::size_t bytes) noexcept;
void unregister_leak_roots(void* start, std::size_t bytes) noexcept;

// Gives the memory back to the system, if it takes it, and keeps the addresses.
void discard_pages(void* start, std::size_t bytes) noexcept;

enum class guard_kind : unsigned char {
  light,       // marks in the page table
  protection,  // mappings without access
};

// What this process uses, found out once.
[[nodiscard]] guard_kind guards_in_use() noexcept;

// Makes the first `guard_bytes` of each of `count` blocks, `stride` apart, fault on access. Returns
// how many, from the first on, were made; fewer: errno says why, ENOMEM at the limit of mappings.
[[nodiscard]] std::size_t install_guards(std::byte* first, std::size_t stride, std::size_t count,
                                         std::size_t guard_bytes) noexcept;

// After unmapping `count` guards: those made by protection count towards the limit no more.
void forget_guards(std::size_t count) noexcept;

// Uses guards made by protection from now on, and at most `limit` of them; 0: as found out.
void force_protection_guards_for_testing(std::size_t limit) noexcept;

}  // namespace weft::inline WEFT_ABI::detail
