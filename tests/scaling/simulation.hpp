// Simulated processors: many threads of the library on one thread of the system, whose memory
// accesses are counted as a machine with that many cores would have to answer them.
//
// Model       The library is compiled with the accesses instrumented (as for ThreadSanitizer, but
//             accesses.cpp answers the calls), and system.cpp stands in for the few files that
//             block or start a thread. Each thread that the library starts is a stack of its own;
//             they take turns, each for some dozens of accesses, wherever it stands then: inside a
//             lock, between a store and a load. So 64 processors run side by side in small steps,
//             over the real structures, and the same each time.
// Caches      a thread is a core with a cache that forgets nothing. A line is in the caches of
//             those that have accessed it since it was last written; a write that finds it in
//             another's cache counts as a shared line written, a read of a line that only others
//             have as a line fetched. What nobody has touched before counts as nothing.
// Time        is virtual: a round of turns takes `round_ns`, and where all sleep it jumps to the
//             first deadline.
// Not seen    instructions, the size of caches, and what a line costs that all want at once: for
//             that the busiest line is told.
#pragma once

#include <cstdint>

namespace simulation {

struct counts {
  std::uint64_t operations = 0;
  std::uint64_t locked = 0;   // locked instructions: read-modify-write, fences, seq_cst stores
  std::uint64_t written = 0;  // shared lines written
  std::uint64_t fetched = 0;  // lines read that others have written
  std::uint64_t busiest = 0;  // of `written`: those of the line that has most
  std::uint64_t wakes = 0;    // threads woken from a sleep in the system
};

// Before run(): what of a thread is not shared (system.cpp).
void describe_system();

// Runs `body(argument)` as the first thread, until it returns. Ends the process where all threads
// sleep for ever.
void run(void (*body)(void*), void* argument);

// For whoever looks why a count is what it is: before run() and after it. Prints the shared lines
// that were written most, and the places in the program that did, as addr2line takes them.
void note_code() noexcept;
void print_busiest_lines(std::uint64_t least);

// By what the library runs.

// One more operation is done. Those from `first` on, `number` of them, are what is counted.
void operation_done() noexcept;
void count_operations(std::uint64_t first, std::uint64_t number) noexcept;
[[nodiscard]] bool is_counted() noexcept;
[[nodiscard]] const counts& result() noexcept;

// The caller's turn is over, `n` times.
void pass_turn(unsigned n = 1) noexcept;

// For system.cpp.

inline constexpr std::int64_t never = INT64_MAX;

[[nodiscard]] std::int64_t now() noexcept;
// A thread that begins with the next round; its number.
unsigned start(void* (*entry)(void*) noexcept, void* argument);
void join(unsigned thread) noexcept;
// Sleeps until `word` is not 0, or `deadline`. False: timed out.
bool wait_for(const volatile std::uint32_t& word, std::int64_t deadline) noexcept;
void wake(const volatile std::uint32_t& word) noexcept;

// What belongs to a thread of the system is the running one's: saved and put back at each turn.
struct own_words {
  void* (*save)() noexcept;
  void (*put_back)(void* saved) noexcept;
};
void set_own_words(const own_words& words) noexcept;
// Where each thread of the system has words of its own: nobody shares them.
void set_own_place(const void* begin, const void* end) noexcept;

// For accesses.cpp.

inline constexpr unsigned most_threads = 256;

[[nodiscard]] unsigned this_thread() noexcept;
// False: the simulation itself runs, or none.
[[nodiscard]] bool is_running() noexcept;
// Ends the turn when it has had its accesses.
void access_done() noexcept;
counts accesses_so_far() noexcept;
void forget_busiest_line() noexcept;

}  // namespace simulation
