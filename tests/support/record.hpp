// What fibers and threads other than the main fiber record, for it to assert on.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace test {

// A counter for any number of fibers and threads.
class tally {
 public:
  void add(long n = 1) noexcept { n_.fetch_add(n, std::memory_order_acq_rel); }
  [[nodiscard]] long count() const noexcept { return n_.load(std::memory_order_acquire); }

 private:
  std::atomic<long> n_{0};
};

// Values in the order in which they were noted. The mutex is held for the one push_back only.
template <class T>
class notes {
 public:
  void add(T value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
  }
  [[nodiscard]] std::vector<T> all() const {
    const std::lock_guard lock(mutex_);
    return values_;
  }
  [[nodiscard]] std::vector<T> sorted() const {
    std::vector<T> values = all();
    std::sort(values.begin(), values.end());
    return values;
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<T> values_;
};

// Checks made outside the main fiber: `CHECK(e.failures() == "")` at the end.
class expectations {
 public:
  void that(bool holds, std::string_view what,
            std::source_location where = std::source_location::current()) {
    if (holds) return;
    const std::lock_guard lock(mutex_);
    if (++failed_ > max_shown) return;
    text_ += where.file_name();
    text_ += ':' + std::to_string(where.line()) + ": not so: ";
    text_ += what;
    text_ += '\n';
  }
  [[nodiscard]] std::string failures() const {
    const std::lock_guard lock(mutex_);
    if (failed_ <= max_shown) return text_;
    return text_ + "and " + std::to_string(failed_ - max_shown) + " more\n";
  }

 private:
  static constexpr std::size_t max_shown = 10;
  mutable std::mutex mutex_;
  std::string text_;
  std::size_t failed_ = 0;
};

// What a call that must throw an error of use says; otherwise a text that tells what it did.
template <class Error, class F>
std::string thrown_by(F&& call) {
  static_assert(std::is_base_of_v<std::logic_error, Error>);
  try {
    std::forward<F>(call)();
  } catch (const Error& e) {
    return e.what();
  } catch (const std::exception& e) {
    return std::string("[threw another type: ") + e.what() + "]";
  }
  return "[threw nothing]";
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace test
