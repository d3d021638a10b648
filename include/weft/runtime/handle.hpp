// A runtime behind a pointer, and the doors to it that need no scheduler header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "weft/sched/park.hpp"

namespace weft::inline WEFT_ABI {

struct options;

namespace detail {

class explorer;
class join_core;
struct explored_runtime;

// Starts; throws what weft::run and weft::runtime document.
// `chooser`: see sched/explorer.hpp.
scheduler* start_scheduler(const options& settings, bool is_closed_world, void* owner,
                           explorer* chooser = nullptr);
// Throws what runtime::shutdown documents for the moment.
void check_may_end(scheduler& s);
// Ends it per its options and frees it. By a plain thread.
void end_scheduler(scheduler* s);

// By run(): until the main fiber has completed `state`. Does not return if it leaves by exit_fiber.
void wait_for_main(scheduler& s, join_core& state);
// By a plain thread: until a fiber of `s` has completed `state`.
void wait_for_result(scheduler& s, join_core& state);

// For a foreign event loop.
bool run_once(scheduler& s, std::int64_t until);
[[nodiscard]] int poll_descriptor(scheduler& s);

void name_main(scheduler& s, fiber* f) noexcept;
[[noreturn]] void throw_not_from_fiber(const char* what);

void yield_now();
void begin_blocking();
void end_blocking();

// fiber_local: the place of a value, made by `make` at the first use in a fiber.
void* local_value(std::uint64_t key, void* (*make)(const void* argument), const void* argument,
                  void (*destroy)(void*) noexcept);
std::uint64_t new_local_key() noexcept;

}  // namespace detail

}  // namespace weft::inline WEFT_ABI
