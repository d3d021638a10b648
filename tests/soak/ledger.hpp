// The books of a round: what its fibers and threads have made, passed on and ended, and what was
// found wrong.
//
// Threads     all of it from any fiber and thread; the digest is of deterministic rounds only,
//             which have one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

namespace soak {

// Fails the round: the first words are kept.
class verdict {
 public:
  void fail(std::string what) {
    const std::lock_guard held(mutex_);
    if (what_.empty()) what_ = std::move(what);
  }
  [[nodiscard]] std::string text() const {
    const std::lock_guard held(mutex_);
    return what_;
  }

 private:
  mutable std::mutex mutex_;
  std::string what_;
};

struct ledger {
  explicit ledger(std::atomic<std::uint64_t>& s) : steps(s) {}

  verdict wrong;
  std::atomic<std::uint64_t>& steps;  // grows while something happens
  std::atomic<long> tokens_alive{0};
  std::atomic<long> sent{0};
  std::atomic<long> received{0};
  std::atomic<std::uint64_t> sent_sum{0};
  std::atomic<std::uint64_t> received_sum{0};
  std::atomic<long> bodies_alive{0};  // callables of fibers, run or not
  std::atomic<long> runs_alive{0};    // fibers between their first and their last frame
  std::atomic<long> calls_made{0};    // of timers and cancellations that must come to something
  std::atomic<long> calls_ended{0};

  bool keeps_digest = false;
  std::uint64_t digest = 0xcbf29ce484222325U;

  void step(std::uint64_t what, std::uint64_t result = 0) {
    steps.fetch_add(1, std::memory_order_relaxed);
    if (!keeps_digest) return;
    digest = (digest ^ what) * 0x100000001b3U;
    digest = (digest ^ result) * 0x100000001b3U;
  }
  void check(bool holds, const char* what) {
    if (!holds) wrong.fail(what);
  }
  void note_sent(std::uint64_t value) {
    sent.fetch_add(1, std::memory_order_relaxed);
    sent_sum.fetch_add(value, std::memory_order_relaxed);
  }
  void note_received(std::uint64_t value) {
    received.fetch_add(1, std::memory_order_relaxed);
    received_sum.fetch_add(value, std::memory_order_relaxed);
  }
};

// Counts as long as it lives; moves.
class counted {
 public:
  explicit counted(std::atomic<long>& alive) : alive_(&alive) { add(1); }
  counted(counted&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
  counted& operator=(counted&& other) noexcept {
    std::swap(alive_, other.alive_);
    return *this;
  }
  ~counted() {
    if (alive_ != nullptr) add(-1);
  }

 private:
  void add(long n) { alive_->fetch_add(n, std::memory_order_acq_rel); }

  std::atomic<long>* alive_;
};

// What the round's channels carry.
struct token {
  token(ledger& book, std::uint64_t n) : count(book.tokens_alive), value(n) {}

  counted count;
  std::uint64_t value;
};

}  // namespace soak
