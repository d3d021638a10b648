// pool: items that are kept for the next one who needs such an item.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/sync/pool_core.hpp"
#include "weft/sync/stored.hpp"

namespace weft::inline WEFT_ABI {

/// A store of items that may be used by anyone, so that they need not be made anew each time.
///
/// An item put in may be given to any later get(), or be dropped at any time: nothing that matters
/// may be in it alone. What is not used over two purges is destroyed; while a runtime is there, one
/// comes about every second by itself, in a fiber of the runtime's own, but not in runs of a seed.
///
///     weft::pool<std::string> buffers([] { return std::string(4096, '\0'); });
///     std::string buffer = *buffers.get();
///     ...
///     buffers.put(std::move(buffer));
///
/// Threads  All members from any fiber and any thread. Nothing blocks.
/// Order    A put synchronizes with the get that gives its item.
template <class T>
class pool {
 public:
  /// Without a maker: get() gives an item that was put in, or nothing.
  pool() noexcept : core_(destroy) {}

  /// `make` gives a new item where there is none.
  template <class Make>
    requires std::is_invocable_r_v<T, Make&>
  explicit pool(Make make) : core_(destroy), make_(detail::make_stored<T>(std::move(make))) {}

  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool() {
    core_.withdraw();
    destroy(core_.purge());
    destroy(core_.purge());
  }

  /// An item that was put in, else a new one, else nothing.
  /// Errors   what the maker throws.
  [[nodiscard]] std::optional<T> get() {
    if (detail::pool_node* n = core_.get()) {
      const std::unique_ptr<node> holder(static_cast<node*>(n));
      return std::optional<T>(std::move(holder->value));
    }
    if (make_ != nullptr) return std::optional<T>(make_->call());
    return std::nullopt;
  }

  /// Keeps `item` for a later get(), or drops it.
  /// Errors   std::bad_alloc.
  void put(T item) { core_.put(*new node(std::move(item))); }

  /// Destroys what was put in before the last purge and has not been used since.
  void purge() { destroy(core_.purge()); }

 private:
  struct node : detail::pool_node {
    explicit node(T&& item) : value(std::move(item)) {}
    T value;
  };

  // A chain of nodes.
  static void destroy(void* chain) noexcept {
    auto* first = static_cast<detail::pool_node*>(chain);
    while (first != nullptr) {
      const std::unique_ptr<node> holder(static_cast<node*>(std::exchange(first, first->next)));
    }
  }

  detail::pool_core core_;
  std::unique_ptr<detail::stored<T>> make_;
};

}  // namespace weft::inline WEFT_ABI
