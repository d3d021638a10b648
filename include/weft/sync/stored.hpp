// A function object that a primitive keeps for its user, whatever its type.
#pragma once

#include <memory>
#include <utility>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

template <class R>
class stored {
 public:
  stored() = default;
  stored(const stored&) = delete;
  stored& operator=(const stored&) = delete;
  virtual ~stored() = default;

  virtual R call() = 0;
};

template <class R, class F>
class stored_as final : public stored<R> {
 public:
  explicit stored_as(F f) : f_(std::move(f)) {}
  R call() override { return static_cast<R>(f_()); }

 private:
  F f_;
};

template <class R, class F>
[[nodiscard]] std::unique_ptr<stored<R>> make_stored(F f) {
  return std::make_unique<stored_as<R, F>>(std::move(f));
}

}  // namespace weft::inline WEFT_ABI::detail
