// weft::check: reports fibers that park, yield or end while they hold a pthread lock.
//
// Model       The table of the thread (arch/held_locks.hpp) says what the departing fiber holds. It
//             is reported once for each pair of places, and forgotten: the next fiber of the thread
//             is not to blame.
// Pinned      a pinned fiber may park with a lock: it comes back on its thread, which runs nothing
//             else meanwhile.
// Linking     the CMake target asks for the symbol weft_check_is_linked, which draws this object
//             and the wrappers into the program.
// Order       the hook is installed by a constructor, before main.
#include "weft/sched/departure.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/held_locks.hpp"
#include "weft/arch/report.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/fiber.hpp"

extern "C" {
extern const char weft_check_is_linked;
const char weft_check_is_linked = 1;
}

namespace weft::inline WEFT_ABI::detail {

namespace {

#define WEFT_TEXT_OF(x) #x
#define WEFT_TEXT(x) WEFT_TEXT_OF(x)
constexpr std::string_view inner_namespace = "weft::" WEFT_TEXT(WEFT_ABI) "::detail::";

constexpr std::size_t max_frames = 24;
constexpr std::size_t shown_frames = 8;

bool aborts = false;  // WEFT_CHECK=abort; written before main

// Hashes of the pairs of places that were told; when it is full nothing new is told.
constexpr std::size_t max_told = 1024;
atomic<std::uint64_t> told[max_told];

struct places {
  void* frames[max_frames];
  std::size_t count;
};

std::uint64_t hash_of(void* const* frames, std::size_t count, std::uint64_t hash) noexcept {
  for (std::size_t i = 0; i < count; ++i)
    hash = (hash ^ std::hash<void*>()(frames[i])) * 0x100000001b3U;
  return hash;
}

// True: it was not in the table.
bool is_new(std::uint64_t hash) noexcept {
  if (hash == 0) hash = 1;
  for (std::size_t i = 0; i < max_told; ++i) {
    atomic<std::uint64_t>& place = told[(hash + i) % max_told];
    std::uint64_t found = place.load(relaxed);  // relaxed: only a set of numbers
    if (found == hash) return false;
    // relaxed: likewise
    if (found == 0 && place.compare_exchange(found, hash, relaxed)) return true;
    if (found == hash) return false;
  }
  return false;
}

// The frames of the operation that parks, which say nothing to its caller; not the frame that calls
// the fiber's function, into which that may be inlined.
bool is_inner(void* pc) {
  const symbol s = describe(pc);
  const std::string_view name = std::string_view(s.function).substr(0, s.function.find('('));
  return name.find(inner_namespace) != std::string_view::npos &&
         name.find("callable_type_of") == std::string_view::npos;
}

void print_places(report& out, void* const* frames, std::size_t count) {
  try {
    while (count > 1 && is_inner(*frames)) ++frames, --count;
  } catch (const std::bad_alloc&) {
    // All of them, then.
  }
  print_stack(out, frames, count < shown_frames ? count : shown_frames, names::demangled);
}

void tell(fiber& f, departure how, const held_lock& lock, const places& at) {
  report out;
  switch (how) {
    case departure::park:
      out.text("weft: a fiber parked with a pthread lock held (std::mutex and its like)");
      break;
    case departure::yield:
      out.text("weft: a fiber yielded with a pthread lock held (std::mutex and its like)");
      break;
    case departure::end:
      out.text("weft: a fiber ended with a pthread lock held (std::mutex and its like)");
      break;
  }
  out.line(how == departure::end
               ? "; its thread runs other fibers, and none of them owns the lock"
               : "; other fibers of its thread may wait for the lock and so for ever, and it may "
                 "come back on another thread");
  out.line("use weft::mutex, or unlock before what may park, or weft::thread_pin");
  out.line();
  dump_fiber(f, out, dump_style::plain);
  out.line("it left its thread at");
  print_places(out, at.frames, at.count);
  out.line();
  out.line("it took the lock at");
  print_places(out, lock.frames, lock.frame_count);
  out.line();
}

void look(fiber& f, departure how) noexcept {
  held_locks& held = held_locks::of_thread();
  if (held.count == 0 || held.is_busy) return;
  if (f.pinned_to != nullptr && how != departure::end) return;
  held.is_busy = true;
  places at;
  at.count = capture(at.frames, max_frames, 1);
  bool has_told = false;
  for (std::size_t i = 0; i < held.count; ++i) {
    const held_lock& lock = held.locks[i];
    if (lock.owner != &f) continue;
    const std::uint64_t hash = hash_of(at.frames, at.count, static_cast<std::uint64_t>(how));
    if (!is_new(hash_of(lock.frames, lock.frame_count, hash))) continue;
    tell(f, how, lock, at);
    has_told = true;
  }
  held.forget(&f);
  if (has_told && aborts) std::abort();
  held.is_busy = false;
}

__attribute__((constructor)) void install() {
  const char* option = std::getenv("WEFT_CHECK");
  aborts = option != nullptr && std::string_view(option) == "abort";
  set_departure_hook(look);
}

}  // namespace

}  // namespace weft::inline WEFT_ABI::detail
