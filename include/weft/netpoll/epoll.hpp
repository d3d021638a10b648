// The epoll poller (Linux).
#pragma once

#include <memory>

#include "weft/sched/poller.hpp"

namespace weft::inline WEFT_ABI::detail {

// Throws std::system_error where the system refuses a descriptor.
std::unique_ptr<poller> make_epoll_poller();

}  // namespace weft::inline WEFT_ABI::detail
