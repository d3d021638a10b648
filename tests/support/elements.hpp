// Element types for containers and channels: counting, movable only, throwing, of any size.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <utility>

namespace test {

// What happened to the objects of one kind; the test makes it and the objects refer to it.
struct ledger {
  std::atomic<long> alive{0};
  std::atomic<long> copies{0};
  std::atomic<long> moves{0};
  std::atomic<long> broken{0};  // destroyed twice, or used where none was made
  std::atomic<long> throw_at{std::numeric_limits<long>::max()};  // counts down at each transfer

  // The n-th copy or move from now on throws, once; n starts at 1.
  void arm(long n) { throw_at.store(n, std::memory_order_relaxed); }
  void disarm() { arm(std::numeric_limits<long>::max()); }

  void transfer(std::atomic<long>& how) {
    if (throw_at.fetch_sub(1, std::memory_order_relaxed) == 1) throw std::runtime_error("transfer");
    how.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_clean() const { return alive.load() == 0 && broken.load() == 0; }
};

// Not default-constructible; counts in its ledger and may throw when it is copied or moved.
// moved-from objects hold no value.
class counted {
 public:
  static constexpr int no_value = -1;

  counted(ledger& l, int value) : ledger_(&l), value_(value) { born(); }
  counted(const counted& o) : ledger_(o.ledger_), value_(o.value_) {
    o.used();
    ledger_->transfer(ledger_->copies);
    born();
  }
  counted(counted&& o) : ledger_(o.ledger_), value_(o.value_) {
    o.used();
    ledger_->transfer(ledger_->moves);
    o.value_ = no_value;
    born();
  }
  counted& operator=(const counted& o) {
    used();
    o.used();
    ledger_->transfer(ledger_->copies);
    value_ = o.value_;
    return *this;
  }
  counted& operator=(counted&& o) {
    used();
    o.used();
    ledger_->transfer(ledger_->moves);
    value_ = std::exchange(o.value_, no_value);
    return *this;
  }
  ~counted() {
    used();
    self_ = nullptr;
    ledger_->alive.fetch_sub(1);
  }

  [[nodiscard]] int value() const { return value_; }

 private:
  void born() {
    self_ = this;
    ledger_->alive.fetch_add(1);
  }
  void used() const {
    if (self_ != this) ledger_->broken.fetch_add(1);
  }

  ledger* ledger_;
  const counted* volatile self_ = nullptr;
  int value_;
};

// As counted, but movable only.
class unique_counted : public counted {
 public:
  using counted::counted;
  unique_counted(unique_counted&&) = default;
  unique_counted& operator=(unique_counted&&) = default;
};

// N bytes that all depend on one seed, so that a torn or partial value is seen.
template <std::size_t N>
struct blob {
  std::array<unsigned char, N> bytes;

  explicit blob(unsigned seed = 0) {
    for (std::size_t i = 0; i < N; ++i) bytes[i] = byte(seed, i);
  }
  [[nodiscard]] bool is(unsigned seed) const {
    for (std::size_t i = 0; i < N; ++i)
      if (bytes[i] != byte(seed, i)) return false;
    return true;
  }

 private:
  static unsigned char byte(unsigned seed, std::size_t i) {
    return static_cast<unsigned char>(seed * 31U + i * 7U + (i >> 8U));
  }
};

// Without state: of size 0 where the buffer is concerned.
struct nothing {
  nothing() = default;
  explicit nothing(unsigned) {}
  [[nodiscard]] bool is(unsigned) const { return true; }
};

struct alignas(128) aligned {
  unsigned value;
  explicit aligned(unsigned seed = 0) : value(seed) {}
  [[nodiscard]] bool is(unsigned seed) const {
    return value == seed && (address() % alignof(aligned)) == 0;
  }

 private:
  [[nodiscard]] std::size_t address() const {
    return reinterpret_cast<std::size_t>(static_cast<const void*>(this));
  }
};

}  // namespace test
