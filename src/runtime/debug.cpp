// The public face of the dump walk.
#include "weft/debug.hpp"

#include <ostream>

#include "weft/arch/report.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::debug {

namespace {

using detail::relaxed;

std::string text_of_state(const detail::fiber& f, std::int64_t now) {
  std::string text;
  detail::report out([](void* to, const char* words,
                        std::size_t size) { static_cast<std::string*>(to)->append(words, size); },
                     &text);
  detail::print_state(f, out, now);
  out.flush();
  return text;
}

fiber_info describe(const detail::fiber& f) {
  fiber_info info;
  // relaxed, here and below: a report
  info.id = fiber_id::from_value(f.id.load(relaxed));  // relaxed: likewise
  info.state = text_of_state(f, f.home->coarse_now());
  info.since = clock::time_point(clock::duration(f.since.load(relaxed)));    // relaxed: likewise
  info.created_at.function = f.created_at.function.load(relaxed);            // relaxed: likewise
  info.created_at.file = f.created_at.file.load(relaxed);                    // relaxed: likewise
  info.created_at.line = static_cast<int>(f.created_at.line.load(relaxed));  // relaxed: likewise
  if (detail::fiber_extra* extra = f.extra()) {
    const detail::lock_guard held(extra->lock);
    info.name = extra->name;
  }
  return info;
}

}  // namespace

std::vector<fiber_info> fibers() {
  std::vector<fiber_info> all;
  detail::for_each_scheduler(
      [](detail::scheduler& s, void* to) {
        s.for_each_record([&](const detail::fiber& f) {
          const auto state = f.state.load(relaxed);  // relaxed: a report
          if (state == detail::fiber_state::free || state == detail::fiber_state::fresh ||
              f.is_service)
            return;
          static_cast<std::vector<fiber_info>*>(to)->push_back(describe(f));
        });
      },
      &all);
  return all;
}

void dump(int fd) {
  detail::report out(fd);
  detail::dump_all(out, detail::dump_style::plain);
}

void dump(std::ostream& stream) {
  detail::report out(
      [](void* to, const char* words, std::size_t size) {
        static_cast<std::ostream*>(to)->write(words, static_cast<std::streamsize>(size));
      },
      &stream);
  detail::dump_all(out, detail::dump_style::plain);
}

}  // namespace weft::inline WEFT_ABI::debug
