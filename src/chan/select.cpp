// Select over a list of cases that is known at run time only.
#include "weft/select.hpp"

#include <vector>

namespace weft::inline WEFT_ABI {

namespace detail {

select_item timer_item(std::int64_t due) noexcept {
  select_item item;
  item.what = select_item::kind::timer;
  item.due = due;
  return item;
}

select_item done_item(cancel_source* source) noexcept {
  select_item item;
  item.what = select_item::kind::done;
  item.source = source;
  return item;
}

}  // namespace detail

std::size_t select(std::span<select_case> cases) {
  std::vector<detail::select_item> items;
  items.reserve(cases.size());
  for (const select_case& c : cases) items.push_back(c.item_);
  std::vector<detail::waiter> places(cases.size());
  std::vector<detail::chan_core*> channels(cases.size());
  return detail::run_select({items.data(), places.data(), channels.data(), cases.size()});
}

}  // namespace weft::inline WEFT_ABI
