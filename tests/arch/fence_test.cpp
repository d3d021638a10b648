// The asymmetric fence: of two threads that store and then look, at least one sees the other.
#include "weft/arch/fence.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "weft/arch/clock.hpp"

namespace {

// A thread that claims a counter many times over, and one that claims it now and then. Each stores
// its claim and then looks for the other's; who sees one leaves the counter alone.
class claimants {
 public:
  struct result {
    std::uint32_t claims = 0;  // of the seldom one that saw nothing
    std::uint32_t blind = 0;   // of these: the other one saw nothing either
  };

  // Some rounds at least, and as many as fit into a short time: where the two threads do not run at
  // once, a round takes a slice of the system's.
  result run() {
    std::thread often([this] { claim_often(); });
    result r;
    test::random random(test::seed(), 1);
    const std::int64_t end = weft::detail::monotonic_ns() + 400'000'000;
    for (int i = 0; i < 20 || (i < 2000 && weft::detail::monotonic_ns() < end); ++i) {
      wait_for_touch();
      linger(random.below(400));
      claim_seldom(r);
    }
    ends_.store(true, std::memory_order_relaxed);
    often.join();
    return r;
  }

 private:
  void claim_often() {
    test::random random(test::seed(), 2);
    while (!ends_.load(std::memory_order_relaxed)) {
      // Stores to memory that is in no cache hold up the one that follows, not the look after it.
      for (int i = 0; i < 8; ++i) cold_[random.below(cold_.size())] = 1;
      often_.store(1, std::memory_order_relaxed);
      weft::detail::light_fence();
      if (seldom_.load(std::memory_order_relaxed) == 0) {
        touches_.store(touches_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      }
      often_.store(0, std::memory_order_release);
    }
  }

  // The other thread runs, most likely right now.
  void wait_for_touch() {
    const std::uint64_t before = touches_.load(std::memory_order_relaxed);
    for (int looks = 0; touches_.load(std::memory_order_relaxed) == before; ++looks) {
      if (looks > 1000) std::this_thread::yield();
    }
  }

  void claim_seldom(result& r) {
    seldom_.store(1, std::memory_order_relaxed);
    static_cast<void>(weft::detail::heavy_fence());  // false with full fences on both sides
    if (often_.load(std::memory_order_acquire) == 0) {
      const std::uint64_t before = touches_.load(std::memory_order_relaxed);
      linger(2000);
      ++r.claims;
      r.blind += touches_.load(std::memory_order_relaxed) != before ? 1 : 0;
    }
    seldom_.store(0, std::memory_order_release);
  }

  static void linger(std::uint64_t steps) {
    for (; steps != 0; --steps) weft::detail::compiler_fence();
  }

  alignas(64) std::atomic<std::uint32_t> often_{0};
  alignas(64) std::atomic<std::uint32_t> seldom_{0};
  alignas(64) std::atomic<std::uint64_t> touches_{0};
  alignas(64) std::atomic<bool> ends_{false};
  std::vector<unsigned char> cold_ = std::vector<unsigned char>(std::size_t{16} << 20U);
};

}  // namespace

TEST_CASE("fence: one of the two sides sees the other, in both modes", "[arch][stress]") {
  weft::detail::prepare_fences();
  for (const bool use_membarrier : {true, false}) {
    if (use_membarrier && weft::detail::fence_needs_instruction.load(weft::detail::relaxed))
      continue;  // there is none
    weft::detail::set_fences_for_testing(use_membarrier);
    INFO((use_membarrier ? "with membarrier" : "with full fences"));
    const claimants::result r = claimants().run();
    CHECK(r.claims > 0);
    CHECK(r.blind == 0);
  }
  weft::detail::prepare_fences();
}
