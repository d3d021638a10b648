// A small fast generator for scheduling choices: one word of state, seedable, not for secrets.
//
// wyrand, by Wang Yi (wyhash, https://github.com/wangyi-fudan/wyhash, public domain): a Weyl
// sequence hashed by one 64 x 64 -> 128 bit multiplication; passes BigCrush and PractRand. Every
// seed is good, 0 included. Sequences from different seeds are parts of one cycle of 2^64 values;
// that they overlap within a run is as unlikely as it is harmless.
// Bounds by D. Lemire, "Fast Random Integer Generation in an Interval", TOMACS 29(1), 2019, without
// its rejection step: with 32 bits no value is off its due share by more than n / 2^32.
#pragma once

#include <cstdint>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

class random_source {
 public:
  constexpr explicit random_source(std::uint64_t seed = 0) noexcept : state_(seed) {}

  constexpr std::uint64_t next() noexcept {
    state_ += 0xa0761d6478bd642fU;
    const wide product = static_cast<wide>(state_) * (state_ ^ 0xe7037ed1a0b428dbU);
    return static_cast<std::uint64_t>(product >> 64U) ^ static_cast<std::uint64_t>(product);
  }

  // A value in [0, n); n > 0.
  constexpr std::uint32_t below(std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32U) * n) >> 32U);
  }

  // Begins again as one made with this seed.
  constexpr void seed(std::uint64_t value) noexcept { state_ = value; }

 private:
  __extension__ using wide = unsigned __int128;

  std::uint64_t state_;
};

}  // namespace weft::inline WEFT_ABI::detail
