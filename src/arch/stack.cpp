// The pool of stacks and the registry of their slabs.
#include "weft/arch/stack.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>
#include <utility>

#include "weft/arch/atomic.hpp"
#include "weft/arch/pages.hpp"
#include "weft/arch/sanitizer.hpp"
#include "weft/arch/valgrind.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

std::uintptr_t address_of(const void* p) noexcept { return reinterpret_cast<std::uintptr_t>(p); }

// ---- the registry: find_stack reads it, whatever happens meanwhile

// One slab. All words are written under slab_registry_lock, with the version odd meanwhile.
struct registry_entry {
  atomic<std::uint32_t> version{0};
  atomic<std::uintptr_t> begin{0};  // 0: the place is free
  atomic<std::uintptr_t> end{0};
  atomic<std::uintptr_t> shape{0};  // stack size, a power of two, plus guard size, which is less
};

// Enough for 8 million fibers of the default size. In .bss: untouched pages cost nothing, and a
// table that never moves needs no reclamation.
constexpr std::uint32_t registry_capacity = 32768;

constinit registry_entry registry[registry_capacity];
constinit atomic<std::uint32_t> registry_size{0};
constinit spinlock slab_registry_lock;
std::uint32_t registry_free_hint = 0;  // no free place below; guarded by slab_registry_lock

void write_entry(registry_entry& entry, std::uintptr_t begin, std::uintptr_t end,
                 std::uintptr_t shape) noexcept {
  const std::uint32_t version =
      entry.version.load(relaxed);            // relaxed: written under our lock only
  entry.version.store(version + 1, relaxed);  // relaxed: the releases below order it before them
  entry.begin.store(begin, release);          // pairs: registry.entry
  entry.end.store(end, release);              // pairs: registry.entry
  entry.shape.store(shape, release);          // pairs: registry.entry
  entry.version.store(version + 2, release);  // pairs: registry.entry
}

// The place it got, or registry_capacity if there is none.
std::uint32_t enter_in_registry(std::byte* begin, std::size_t bytes, std::size_t stack_size,
                                std::size_t guard_size) noexcept {
  lock_guard guard(slab_registry_lock);
  std::uint32_t i = registry_free_hint;
  // relaxed: written under our lock only
  while (i < registry_capacity && registry[i].begin.load(relaxed) != 0) ++i;
  registry_free_hint = i;
  if (i == registry_capacity) return i;
  write_entry(registry[i], address_of(begin), address_of(begin) + bytes, stack_size + guard_size);
  // relaxed: written under our lock only
  if (i >= registry_size.load(relaxed))
    registry_size.store(i + 1, release);  // pairs: registry.size
  return i;
}

void leave_registry(std::uint32_t place) noexcept {
  lock_guard guard(slab_registry_lock);
  write_entry(registry[place], 0, 0, 0);
  registry_free_hint = std::min(registry_free_hint, place);
}

// ---- what sanitizers and Valgrind want to know

// The leak check reads root regions whole: only what is in use, and never a guard.
void announce_use(const stack& s) noexcept {
  if (WEFT_UNLIKELY(has_leak_sanitizer())) __lsan_register_root_region(s.limit, s.size());
}

void announce_release(const stack& s) noexcept {
  if (WEFT_UNLIKELY(has_leak_sanitizer())) __lsan_unregister_root_region(s.limit, s.size());
  if (WEFT_LIKELY(!has_address_sanitizer())) return;
  // Frames that were left without returning leave their red zones behind. Only the part from the
  // lowest of them on is written, or a shallow stack would cost a deep one's shadow.
  void* poisoned = __asan_region_is_poisoned(s.limit, s.size());
  if (poisoned != nullptr) {
    auto* from = static_cast<std::byte*>(poisoned);
    __asan_unpoison_memory_region(from, static_cast<std::size_t>(s.top - from));
  }
}

// The default of 256 KiB has a guard of 16 KiB: a frame with a buffer of a page or two does not
// step over it, and where guards are marks in the page table four pages cost no more than one.
std::size_t guard_size_for(std::size_t stack_size) noexcept {
  constexpr std::size_t most = std::size_t{64} * 1024;
  return std::max(page_size(), std::min(stack_size / 16, most));
}

std::size_t round_stack_size(std::size_t asked) noexcept {
  constexpr std::size_t most = std::size_t{1}
                               << 40;  // beyond it no system maps; it must not overflow
  const std::size_t least = std::max(stack_pool::min_stack_size, 4 * page_size());
  return std::bit_ceil(std::clamp(asked, least, most));
}

constexpr std::size_t first_group = 4;  // a program of a few fibers prepares a few stacks
constexpr std::size_t most_in_group = 64;
constexpr std::size_t kept_when_shrunk = std::size_t{16} * 1024;

}  // namespace

bool find_stack(const void* address, stack_place& out) noexcept {
  const std::uintptr_t wanted = address_of(address);
  const std::uint32_t size = registry_size.load(acquire);  // pairs: registry.size
  for (std::uint32_t i = 0; i < size; ++i) {
    const registry_entry& entry = registry[i];
    const std::uint32_t version = entry.version.load(acquire);  // pairs: registry.entry
    const std::uintptr_t begin = entry.begin.load(acquire);     // pairs: registry.entry
    const std::uintptr_t end = entry.end.load(acquire);         // pairs: registry.entry
    const std::uintptr_t shape = entry.shape.load(acquire);     // pairs: registry.entry
    if (wanted < begin || wanted >= end) continue;
    // A slab that is being written is not the one that the address belongs to: that one stays as
    // long as it is asked for.
    // relaxed: the acquires above keep it behind them
    if (version % 2 != 0 || entry.version.load(relaxed) != version) continue;

    const std::uintptr_t stack_size = std::bit_floor(shape);
    const std::uintptr_t guard_size = shape - stack_size;
    const std::uintptr_t base = begin + (wanted - begin) / stack_size * stack_size;
    out.guard = reinterpret_cast<std::byte*>(base);
    out.in = {out.guard + guard_size, out.guard + stack_size};
    out.in_guard = wanted < base + guard_size;
    return true;
  }
  return false;
}

struct stack_pool::slab {
  slab* next = nullptr;
  std::byte* begin = nullptr;
  std::size_t bytes = 0;
  std::uint32_t place = 0;           // in the registry
  std::size_t prepared = 0;          // stacks with guards, from the first on
  bool kept = false;                 // outlives the pool
  unsigned* valgrind_ids = nullptr;  // of the prepared stacks; null unless it watches us

  void watch(const stack_pool& pool, std::byte* base, std::size_t n) noexcept;
  void watch_no_more() noexcept;
};

void stack_pool::slab::watch(const stack_pool& pool, std::byte* base, std::size_t n) noexcept {
  if (!runs_on_valgrind()) return;
  if (valgrind_ids == nullptr) {
    valgrind_ids = new (std::nothrow) unsigned[bytes / pool.stack_size_];
    if (valgrind_ids == nullptr) return;
  }
  for (std::size_t i = 0; i < n; ++i) {
    const stack s = pool.at(base + i * pool.stack_size_);
    valgrind_ids[prepared + i] = stack_is_there(s.limit, s.top - 1);
  }
}

void stack_pool::slab::watch_no_more() noexcept {
  if (valgrind_ids == nullptr) return;
  for (std::size_t i = 0; i < prepared; ++i) stack_is_gone(valgrind_ids[i]);
  delete[] valgrind_ids;
}

stack_pool::stack_pool(std::size_t stack_size) noexcept
    : stack_size_(round_stack_size(stack_size)),
      guard_size_(guard_size_for(stack_size_)),
      group_(first_group) {}

stack_pool::~stack_pool() {
  if (has_leak_sanitizer() && in_use_ != 0) {
    for (slab* s = slabs_; s != nullptr; s = s->next) {
      std::size_t idle = 0;
      for (std::size_t i = 0; i < count_; ++i) {
        if (slab_of(slot(i)) == s) ++idle;
      }
      if (s == slabs_) idle += static_cast<std::size_t>(fresh_end_ - fresh_) / stack_size_;
      if (idle != s->prepared) s->kept = true;
    }
  }
  for (slab* s = slabs_; s != nullptr;) {
    slab* next = s->next;
    if (!s->kept) unmap(s);
    delete s;
    s = next;
  }
  if (ring_ != nullptr) unmap_pages(ring_, capacity_ * sizeof *ring_);
}

stack stack_pool::allocate() noexcept {
  stack s;
  static_cast<void>(allocate_batch(&s, 1));
  return s;
}

std::size_t stack_pool::allocate_batch(stack* out, std::size_t n) noexcept {
  std::size_t got = 0;
  while (true) {
    {
      lock_guard guard(lock_);
      got += pop(out + got, n - got);
    }
    if (WEFT_LIKELY(got == n) || !grow()) break;
  }
  for (std::size_t i = 0; i < got; ++i) announce_use(out[i]);
  return got;
}

// Under lock_.
std::size_t stack_pool::pop(stack* out, std::size_t n) noexcept {
  std::size_t got = 0;
  for (; got < n && count_ != 0; ++got) out[got] = at(slot(--count_));
  cold_ = std::min(cold_, count_);
  shallow_ = std::min(shallow_, count_);
  least_ = std::min(least_, count_);
  for (; got < n && fresh_ != fresh_end_; ++got) {
    out[got] = at(fresh_);
    fresh_ += stack_size_;
  }
  in_use_ += got;
  return got;
}

void stack_pool::release_batch(const stack* stacks, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) announce_release(stacks[i]);
  lock_guard guard(lock_);
  for (std::size_t i = 0; i < n; ++i) slot(count_++) = base_of(stacks[i]);
  in_use_ -= n;
  check_ring();
}

std::size_t stack_pool::in_use() const noexcept {
  lock_guard guard(lock_);
  return in_use_;
}

stack_refusal stack_pool::last_refusal() const noexcept {
  lock_guard guard(lock_);
  return refusal_;
}

// Prepares some fresh stacks, unless another thread has just done so. False: refused.
bool stack_pool::grow() noexcept {
  lock_guard growing(grow_lock_);
  {
    lock_guard guard(lock_);
    if (count_ != 0 || fresh_ != fresh_end_) return true;
  }
  stack_refusal refusal = stack_refusal::none;
  std::size_t made = 0;
  if (unprepared_ == slab_end_ && !add_slab()) {
    refusal = stack_refusal::memory;
  } else {
    const std::size_t left = static_cast<std::size_t>(slab_end_ - unprepared_) / stack_size_;
    made = install_guards(unprepared_, stack_size_, std::min(group_, left), guard_size_);
    group_ = std::min(2 * group_, most_in_group);
    slabs_->watch(*this, unprepared_, made);
    slabs_->prepared += made;
    if (made == 0) {
      refusal = guards_in_use() == guard_kind::protection ? stack_refusal::map_limit
                                                          : stack_refusal::memory;
    }
  }
  std::byte* first = unprepared_;
  unprepared_ += made * stack_size_;
  lock_guard guard(lock_);
  fresh_ = first;
  fresh_end_ = unprepared_;
  refusal_ = refusal;
  return made != 0;
}

// Under grow_lock_. Where a whole slab is refused, smaller ones are tried down to one stack.
bool stack_pool::add_slab() noexcept {
  std::size_t bytes = std::max(slab_size, stack_size_);
  std::byte* begin = nullptr;
  for (;; bytes /= 2) {
    std::byte* wish = nullptr;
    if (slabs_ != nullptr && address_of(slabs_->begin) > bytes) wish = slabs_->begin - bytes;
    begin = map_stacks(bytes, stack_size_, wish);
    if (begin != nullptr) break;
    if (bytes <= stack_size_) return false;
  }
  slab* s = new (std::nothrow) slab;
  const std::size_t stacks = bytes / stack_size_;
  if (s == nullptr || !grow_ring(total_ + stacks)) {
    delete s;
    unmap_pages(begin, bytes);
    return false;
  }
  s->begin = begin;
  s->bytes = bytes;
  s->place = enter_in_registry(begin, bytes, stack_size_, guard_size_);
  if (s->place == registry_capacity) {
    delete s;
    unmap_pages(begin, bytes);
    return false;
  }
  s->next = slabs_;
  slabs_ = s;
  total_ += stacks;
  unprepared_ = begin;
  slab_end_ = begin + bytes;
  return true;
}

// Under grow_lock_: makes room for that many free stacks, so that a release never needs memory.
bool stack_pool::grow_ring(std::size_t stacks) noexcept {
  if (stacks <= capacity_) return true;
  const std::size_t capacity = std::bit_ceil(std::max(stacks, page_size() / sizeof *ring_));
  auto** ring = static_cast<std::byte**>(map_pages(capacity * sizeof *ring_));
  if (ring == nullptr) return false;
  std::byte** old = ring_;
  const std::size_t old_capacity = capacity_;
  {
    lock_guard guard(lock_);
    for (std::size_t i = 0; i < count_; ++i) ring[i] = slot(i);
    ring_ = ring;
    capacity_ = capacity;
    head_ = 0;
  }
  if (old != nullptr) unmap_pages(old, old_capacity * sizeof *ring_);
  return true;
}

void stack_pool::check_ring() const noexcept {
  assert(cold_ <= shallow_ && shallow_ <= count_ && count_ <= capacity_ && "stack_pool: S2");
}

// Under lock_: takes n stacks out of the ring, the first of them at `place`, which is `cold_` or
// `shallow_`; the older ones close the gap, in any order.
std::size_t stack_pool::take_at(std::size_t place, std::byte** out, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = slot(place + i);
  const std::size_t moved = std::min(place, n);
  for (std::size_t i = 0; i < moved; ++i) slot(std::max(place, n) + i) = slot(i);
  head_ += n;
  count_ -= n;
  shallow_ -= std::min(n, shallow_ - place);
  check_ring();
  return n;
}

// Under lock_: the reverse; what is put is shallow at least.
void stack_pool::put_at(std::size_t place, std::byte* const* bases, std::size_t n) noexcept {
  head_ -= n;
  const std::size_t moved = std::min(place, n);
  for (std::size_t i = 0; i < moved; ++i) slot(i) = slot(std::max(place, n) + i);
  for (std::size_t i = 0; i < n; ++i) slot(place + i) = bases[i];
  count_ += n;
  shallow_ += n;
  check_ring();
}

// Makes up to `room` of the stacks beyond the newest `keep` cold; returns how many.
std::size_t stack_pool::trim_some(std::byte** bases, std::size_t room, std::size_t keep) noexcept {
  std::size_t n = 0;
  {
    lock_guard guard(lock_);
    if (count_ > keep && count_ - keep > cold_) {
      n = take_at(cold_, bases, std::min(room, count_ - keep - cold_));
    }
  }
  // Downwards, so that later allocations, which begin at the new end, go up in memory.
  std::sort(bases, bases + n,
            [](const std::byte* a, const std::byte* b) { return address_of(a) > address_of(b); });
  for (std::size_t i = 0; i < n;) {
    std::size_t run = 1;
    while (i + run < n && bases[i + run] == bases[i + run - 1] - stack_size_ &&
           (run + 1) * stack_size_ <= slab_size) {
      ++run;
    }
    // Guards in between survive it.
    discard_pages(bases[i + run - 1] + guard_size_, run * stack_size_ - guard_size_);
    i += run;
  }
  if (n != 0) {
    lock_guard guard(lock_);
    put_at(cold_, bases, n);
    cold_ += n;
  }
  return n;
}

// Gives back the deep parts of the free stacks that keep their memory.
void stack_pool::shrink_kept(std::byte** bases, std::size_t room) noexcept {
  if (usable_size() <= kept_when_shrunk) return;
  std::size_t left;
  {
    lock_guard guard(lock_);
    left = count_ - shallow_;
  }
  while (left != 0) {
    std::size_t n;
    {
      lock_guard guard(lock_);
      n = take_at(shallow_, bases, std::min({room, left, count_ - shallow_}));
    }
    if (n == 0) return;  // others have taken them meanwhile
    for (std::size_t i = 0; i < n; ++i) shrink(at(bases[i]), kept_when_shrunk);
    lock_guard guard(lock_);
    put_at(shallow_, bases, n);
    left -= n;
  }
}

void stack_pool::trim(std::size_t keep) noexcept { give_back(keep, true); }

bool stack_pool::trim_unused(std::size_t keep) noexcept {
  std::size_t used;
  {
    lock_guard guard(lock_);
    const std::size_t least = std::exchange(least_, count_);
    used = count_ - std::min(count_, least);
  }
  give_back(std::max(keep, used), used == 0);
  return used == 0;
}

void stack_pool::give_back(std::size_t keep, bool deep_parts) noexcept {
  // What is being given back is in nobody's reach: pieces bound how much that is, and how long.
  constexpr std::size_t piece = 32768;
  std::byte* few[256];
  std::byte** bases = static_cast<std::byte**>(map_pages(piece * sizeof *bases));
  const bool mapped = bases != nullptr;
  if (!mapped) bases = few;
  const std::size_t room = mapped ? piece : std::size(few);

  std::size_t left;
  {
    lock_guard guard(lock_);
    left = count_;
  }
  while (left != 0) {
    const std::size_t n = trim_some(bases, std::min(room, left), keep);
    if (n == 0) break;
    left -= n;
  }
  // Few at a time: these are the ones that are wanted next.
  if (deep_parts) shrink_kept(bases, std::size(few));
  if (mapped) unmap_pages(bases, piece * sizeof *bases);
}

void stack_pool::shrink(const stack& s, std::size_t keep_bytes) noexcept {
  const std::size_t page = page_size();
  const std::size_t kept = (keep_bytes + page - 1) / page * page;
  if (kept < s.size()) discard_pages(s.limit, s.size() - kept);
}

stack_pool::slab* stack_pool::slab_of(const std::byte* base) const noexcept {
  slab* s = slabs_;
  while (s != nullptr && (address_of(base) < address_of(s->begin) ||
                          address_of(base) >= address_of(s->begin) + s->bytes)) {
    s = s->next;
  }
  return s;
}

void stack_pool::keep_mapped(const stack& s) noexcept {
  lock_guard growing(grow_lock_);
  if (slab* found = slab_of(s.limit)) found->kept = true;
}

void stack_pool::unmap(slab* s) noexcept {
  leave_registry(s->place);
  s->watch_no_more();
  unmap_pages(s->begin, s->bytes);
  forget_guards(s->prepared);
}

}  // namespace weft::inline WEFT_ABI::detail
