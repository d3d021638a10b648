// Names, labels and local values of the calling fiber.
#include <utility>

#include "weft/base/error.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/fiber.hpp"

namespace weft::inline WEFT_ABI {

namespace detail {

std::uint64_t new_local_key() noexcept {
  static atomic<std::uint64_t> last{0};
  return last.fetch_add(1, relaxed) + 1;  // relaxed: only unique
}

void* local_value(std::uint64_t key, void* (*make)(const void*), const void* argument,
                  void (*destroy)(void*) noexcept) {
  fiber* f = this_fiber_or_null();
  if (f == nullptr) throw_usage_error("weft::fiber_local: used on a plain thread");
  for (const auto& local : f->more().locals) {
    if (local.key == key) return local.value;
  }
  // Making it may use other locals, or park.
  void* value = make(argument);
  try {
    f->more().locals.push_back({key, value, destroy});
  } catch (...) {
    destroy(value);
    throw;
  }
  return value;
}

}  // namespace detail

std::string to_string(fiber_id id) { return std::to_string(id.value()); }

namespace this_fiber {

fiber_id id() noexcept {
  const detail::fiber* f = detail::this_fiber_or_null();
  // relaxed: its own
  return f == nullptr ? fiber_id() : fiber_id::from_value(f->id.load(detail::relaxed));
}

std::string_view name() noexcept {
  const detail::fiber* f = detail::this_fiber_or_null();
  const detail::fiber_extra* extra = f == nullptr ? nullptr : f->extra();
  return extra == nullptr ? std::string_view() : std::string_view(extra->name);
}

void set_name(std::string name) {
  detail::fiber* f = detail::this_fiber_or_null();
  if (f == nullptr) return;
  detail::fiber_extra& extra = f->more();
  const detail::lock_guard held(extra.lock);
  extra.name.swap(name);
}

void set_label(std::string key, std::string value) {
  detail::fiber* f = detail::this_fiber_or_null();
  if (f == nullptr) return;
  detail::fiber_extra& extra = f->more();
  const detail::lock_guard held(extra.lock);
  std::erase_if(extra.labels, [&](const auto& label) { return label.first == key; });
  if (!value.empty()) extra.labels.emplace_back(std::move(key), std::move(value));
}

}  // namespace this_fiber

}  // namespace weft::inline WEFT_ABI
