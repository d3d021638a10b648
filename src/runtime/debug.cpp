// The public face of the dump and of looks at fibers.
#include "weft/debug.hpp"

#include <ostream>

#include "weft/arch/places.hpp"
#include "weft/arch/report.hpp"
#include "weft/arch/signal_inbox.hpp"
#include "weft/arch/signal_report.hpp"
#include "weft/base/error.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/look.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::debug {

namespace {

using detail::relaxed;

void append(void* to, const char* words, std::size_t size) {
  static_cast<std::string*>(to)->append(words, size);
}

std::string text_of_state(const detail::fiber& f, std::int64_t now) {
  std::string text;
  detail::report out(append, &text);
  detail::print_state(f, out, now);
  out.flush();
  return text;
}

fiber_info describe(const detail::fiber_look& look) {
  const detail::fiber& f = look.of;
  fiber_info info;
  info.id = fiber_id::from_value(look.id);
  info.state = text_of_state(f, f.home->coarse_now());
  // relaxed, here and below: a report
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

// What fibers() collects.
struct collection {
  stacks how;
  std::vector<fiber_info> fibers;
  // Their frames as addresses, one stack behind the other, and where each ends.
  std::vector<void*> frames;
  std::vector<std::size_t> ends;

  void add(detail::fiber& f) {
    const detail::fiber_look look = how == stacks::none
                                        ? detail::fiber_look(f, detail::fiber_look::without_stack{})
                                        : detail::fiber_look(f, nullptr);
    if (look.state == detail::fiber_state::free || look.state == detail::fiber_state::fresh) return;
    fibers.push_back(describe(look));
    const std::size_t inner = detail::count_inner_frames(look.frames, look.frame_count);
    frames.insert(frames.end(), look.frames + inner, look.frames + look.frame_count);
    ends.push_back(frames.size());
  }

  void name_frames() {
    if (frames.empty()) return;
    detail::place_table places;
    places.add(frames.data(), frames.size());
    places.look_up();
    std::size_t at = 0;
    for (std::size_t i = 0; i < fibers.size(); ++i) {
      for (; at < ends[i]; ++at) {
        const detail::place* p = places.find(frames[at]);
        fibers[i].stack.push_back(p != nullptr ? frame{p->function, p->file, p->line} : frame{});
      }
    }
  }
};

}  // namespace

std::vector<fiber_info> fibers(stacks how) {
  collection all{how, {}, {}, {}};
  detail::for_each_scheduler_unlocked(
      [](detail::scheduler& s, void* to) {
        s.for_each_record([&](detail::fiber& f) {
          if (detail::is_reported(f)) static_cast<collection*>(to)->add(f);
        });
      },
      &all);
  all.name_frames();
  return std::move(all.fibers);
}

void dump(int fd) {
  detail::report out(fd);
  detail::dump_all(out, detail::dump_style::raw);
}

// As text first: the stream may park, or throw.
void dump(std::ostream& stream) {
  std::string text;
  {
    detail::report out(append, &text);
    detail::dump_all(out, detail::dump_style::full);
  }
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
}

void dump_on_signal(int signal) {
  const std::errc error =
      detail::is_catchable(signal)
          ? detail::report_on_signal(signal,
                                     [](const void* ucontext) noexcept {
                                       detail::report out;
                                       detail::dump_all(out, detail::dump_style::raw, ucontext);
                                     })
          : std::errc::invalid_argument;
  if (error != std::errc{})
    detail::throw_invalid_argument(
        ("weft::debug::dump_on_signal: expected a signal that can be caught, got " +
         std::to_string(signal))
            .c_str());
}

}  // namespace weft::inline WEFT_ABI::debug
