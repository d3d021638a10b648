// singleflight: calls for the same key at the same time run their function once.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "weft/context.hpp"
#include "weft/error.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/zero_gate.hpp"

namespace weft::inline WEFT_ABI {

/// Runs a function once for all who ask for its result at the same time.
///
///     weft::singleflight<std::string, page> fetches;
///     page p = fetches.run(url, [&] { return fetch(url); }).value;
///
/// Threads  All members from any fiber and any thread.
/// Order    The end of the function synchronizes with the return of every call that shares it.
template <class Key, class Value>
class singleflight {
 public:
  /// What run() gives.
  struct flight {
    Value value;  ///< the function's result, or a copy of it
    bool shared;  ///< others asked for it at the same time
  };

  singleflight() = default;
  singleflight(const singleflight&) = delete;
  singleflight& operator=(const singleflight&) = delete;

  /// The result of `f()`, which runs in this fiber, or of a function that another call runs for an
  /// equal key. A call for the same key inside `f` waits for itself, for ever.
  /// Blocks   while that one runs.
  /// Errors   the exception of the function that was run, in every call that shares it;
  ///          std::system_error with errc::fiber_exited when the other fiber left it by exit_fiber.
  template <class F>
  flight run(const Key& key, F&& f) {
    std::shared_ptr<call> c;
    if (join(key, c)) return fly(key, *c, std::forward<F>(f));
    static_cast<void>(c->wait({}));
    return c->result();
  }

  /// Blocks   as run(key, f), and while `ctx` is not done.
  /// Cancel   stops waiting; a function that runs goes on for the others. A context that was done
  ///          before runs nothing.
  /// Errors   as run(key, f); std::system_error with the context's error.
  template <class F>
  flight run(const context& ctx, const Key& key, F&& f) {
    std::error_code ec;
    std::optional<flight> result = run(ctx, key, std::forward<F>(f), ec);
    if (!result) detail::throw_system_error(ec);
    return std::move(*result);
  }
  /// The same, reporting in `ec`: nothing when `ctx` is done.
  template <class F>
  std::optional<flight> run(const context& ctx, const Key& key, F&& f, std::error_code& ec) {
    ec = ctx.err();
    if (ec) return std::nullopt;
    std::shared_ptr<call> c;
    if (join(key, c)) return fly(key, *c, std::forward<F>(f));
    if (!detail::report_canceled(c->wait(detail::limits_of(ctx)), ctx, ec)) return std::nullopt;
    return c->result();
  }

  /// Makes the next run() for `key` start anew, though a function for it may be running; that one's
  /// result goes to those who wait for it already.
  void forget(const Key& key) {
    const locked held(mutex_);
    calls_.erase(key);
  }

 private:
  // One run of a function; shared by all who want its result.
  class call {
   public:
    // Under the lock of the singleflight.
    void share() noexcept {
      shared_ = true;
      used_.note_use();
    }
    [[nodiscard]] bool is_shared() const noexcept { return shared_; }

    template <class F>
    void run(F&& f) {
      try {
        value_.emplace(std::forward<F>(f)());
      } catch (...) {
        if (!detail::is_being_unwound()) error_ = std::current_exception();
        throw;
      }
    }
    // After run() has ended, however.
    void land() noexcept {
      if (gate_.step(-detail::zero_gate::one) != detail::zero_gate::one) gate_.release_all();
    }

    [[nodiscard]] detail::wait_end wait(const detail::wait_limits& limits) {
      bool has_waited = false;
      if (gate_.is_open()) return detail::wait_end::granted;
      return gate_.wait(detail::wait_reason::wait_group_wait, limits, has_waited, used_.use());
    }
    // After a wait that was granted.
    [[nodiscard]] flight result() const {
      if (error_ != nullptr) std::rethrow_exception(error_);
      if (!value_) detail::throw_system_error(errc::fiber_exited);
      return {*value_, true};
    }
    [[nodiscard]] flight own_result() const { return {*value_, shared_}; }

   private:
    detail::zero_gate gate_{"singleflight", 1};
    detail::bubble_mark used_;
    bool shared_ = false;         // guarded by the singleflight's lock, until landed
    std::optional<Value> value_;  // written by the run, read after the gate has opened
    std::exception_ptr error_;    // likewise
  };

  // The map's functions are the user's: they run under a lock that parks.
  class locked {
   public:
    explicit locked(detail::mutex_core& m) : mutex_(m) { mutex_.lock(); }
    ~locked() { mutex_.unlock(); }
    locked(const locked&) = delete;
    locked& operator=(const locked&) = delete;

   private:
    detail::mutex_core& mutex_;
  };

  // True: the caller has to run the function.
  [[nodiscard]] bool join(const Key& key, std::shared_ptr<call>& c) {
    const locked held(mutex_);
    std::shared_ptr<call>& place = calls_[key];
    const bool is_first = place == nullptr;
    if (is_first) {
      place = std::make_shared<call>();
    } else {
      place->share();
    }
    c = place;
    return is_first;
  }

  template <class F>
  flight fly(const Key& key, call& c, F&& f) {
    try {
      c.run(std::forward<F>(f));
    } catch (...) {
      land(key, c);
      throw;
    }
    land(key, c);
    return c.own_result();
  }

  // Nobody joins it any more, and those who have are released.
  void land(const Key& key, call& c) {
    {
      const locked held(mutex_);
      const auto place = calls_.find(key);
      // It may have been forgotten, and another run begun.
      if (place != calls_.end() && place->second.get() == &c) calls_.erase(place);
    }
    c.land();
  }

  detail::mutex_core mutex_;
  std::unordered_map<Key, std::shared_ptr<call>> calls_;  // guarded by mutex_
};

}  // namespace weft::inline WEFT_ABI
