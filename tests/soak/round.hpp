// One round of the soak: a random program, run by one or two runtimes, and its books compared.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace soak {

// What a check of the soak itself asks a round to do wrong.
enum class fault : unsigned char { none, lost_token, thread, descriptor, memory, hang, chance };

struct result {
  std::string wrong;  // empty: all is as it must be
  bool is_deterministic = false;
  std::uint64_t digest = 0;  // of a deterministic round
};

// The whole program follows from the seed; a deterministic round (a quarter of all) is run twice
// and must do the same both times. `is_alone` is true for a round in which a deadlock is reported
// by weft at once: no thread of the caller's may be alive.
[[nodiscard]] result play_round(std::uint64_t seed, std::atomic<std::uint64_t>& steps, fault f);
[[nodiscard]] bool is_alone(std::uint64_t seed);

}  // namespace soak
