// The watchdog, and what a process holds.
#include "soak/watch.hpp"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "weft/debug.hpp"
#include "weft/time.hpp"

namespace soak {

namespace {

// Bytes that malloc has given out and not got back, of all its arenas; 0 where nobody tells.
std::size_t heap_in_use() {
#if defined(__GLIBC__)
  char* text = nullptr;
  std::size_t length = 0;
  std::FILE* to = ::open_memstream(&text, &length);
  if (to == nullptr) return 0;
  ::malloc_info(0, to);
  std::fclose(to);
  // The sums over all arenas stand last.
  const std::string_view all(text, length);
  const auto size_of = [&](std::string_view what) -> std::size_t {
    constexpr std::string_view before_number = "size=\"";
    const std::size_t at = all.rfind(what);
    if (at == std::string_view::npos) return 0;
    const std::size_t size = all.find(before_number, at);
    if (size == std::string_view::npos) return 0;
    return std::strtoull(text + size + before_number.size(), nullptr, 10);
  };
  const std::size_t used = size_of("<system type=\"current\"") + size_of("<total type=\"mmap\"") -
                           size_of("<total type=\"fast\"") - size_of("<total type=\"rest\"");
  std::free(text);
  return used;
#else
  return 0;
#endif
}

std::string grown(const char* what, std::size_t from, std::size_t to) {
  return std::string(what) + " grew from " + std::to_string(from) + " to " + std::to_string(to);
}

}  // namespace

watchdog::watchdog(const std::atomic<std::uint64_t>& steps, std::chrono::seconds patience)
    : steps_(steps), thread_([this, patience] { watch(patience); }) {}

watchdog::~watchdog() {
  {
    const std::lock_guard held(mutex_);
    is_over_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void watchdog::watch(std::chrono::seconds patience) {
  std::unique_lock held(mutex_);
  std::uint64_t seen = steps_;
  auto since = weft::clock::now();
  while (!changed_.wait_for(held, std::chrono::milliseconds(200), [this] { return is_over_; })) {
    const auto now = weft::clock::now();
    if (const std::uint64_t n = steps_; n != seen) {
      seen = n;
      since = now;
    } else if (now - since > patience) {
      std::fprintf(stderr, "soak: nothing has happened for %lld seconds\n\n",
                   static_cast<long long>(patience.count()));
      std::fflush(stderr);
      weft::debug::dump(STDERR_FILENO);
      std::abort();
    }
  }
}

holdings_watch::holdings_watch() : at_start_(test::holdings::now()) {}

std::string holdings_watch::look() {
  // A joined thread may stay listed for a moment.
  test::holdings now = test::holdings::now();
  const auto limit = weft::clock::now() + std::chrono::seconds(5);
  while (now.threads > at_start_.threads && weft::clock::now() < limit) {
    std::this_thread::yield();
    now = test::holdings::now();
  }
  if (now.threads > at_start_.threads)
    return grown("the number of threads", at_start_.threads, now.threads);
  if (now.descriptors != at_start_.descriptors)
    return grown("the number of descriptors", at_start_.descriptors, now.descriptors);
  if (test::sanitized) return {};  // its allocator keeps freed memory; it finds leaks itself
  const std::size_t heap = heap_in_use();
  const std::size_t resident = test::resident_bytes();
  if (++rounds_ <= warm_up) {
    heap_ = std::max(heap_, heap);
    resident_ = std::max(resident_, resident);
    return {};
  }
  if (heap > heap_ + heap_slack) return grown("the heap in use", heap_, heap);
  if (resident > resident_ + resident_slack) return grown("resident memory", resident_, resident);
  return {};
}

}  // namespace soak
