// Writes the dump of fibers.
#include "weft/sched/dump.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <optional>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/places.hpp"
#include "weft/arch/report.hpp"
#include "weft/sched/look.hpp"
#include "weft/sched/registry.hpp"
#include "weft/sched/scheduler.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

std::string_view state_name(const fiber& f) noexcept {
  switch (f.state.load(relaxed)) {  // relaxed: a report
    case fiber_state::running:
      return f.in_call.load(relaxed) ? "syscall" : "running";  // relaxed: a report
    case fiber_state::parked:
      return name_of(f.reason.load(relaxed));  // relaxed: a report
    case fiber_state::fresh:
    case fiber_state::runnable:
      return f.never_ran.load(relaxed) ? "runnable, not yet run" : "runnable";  // relaxed: a report
    case fiber_state::free:
      break;
  }
  return "ended";
}

void print_name(const fiber& f, report& out) {
  fiber_extra* extra = f.extra();
  if (extra == nullptr || !extra->lock.try_lock()) return;
  if (!extra->name.empty()) out.text(" ").text(extra->name);
  extra->lock.unlock();
}

// "waits for the mutex 0x1234 held by fiber 5".
void print_edge(const wait_edge& edge, std::uint64_t self, report& out) {
  switch (edge.reason) {
    case wait_reason::mutex_lock:
      out.text("waits for the mutex ").address(edge.what).text(" held by ");
      break;
    case wait_reason::rw_mutex_lock:
    case wait_reason::rw_mutex_rlock:
      out.text("waits for the rw_mutex ").address(edge.what).text(" held for writing by ");
      break;
    case wait_reason::once_wait:
      out.text("waits for the once ").address(edge.what).text(" run by ");
      break;
    case wait_reason::join:
      out.text("waits for the end of ");
      break;
    default:
      out.text("waits for ");
      break;
  }
  if (edge.whom == owner_mark::thread) {
    out.line("a plain thread");
    return;
  }
  out.text("fiber ").number(edge.whom);
  if (edge.whom == self) {
    out.text(", itself");
  } else if (!is_alive(edge)) {
    out.text(", which has ended");
  }
  out.line();
}

// Counts looks that are alike, in memory of its own, for one dump at a time; another one that comes
// meanwhile prints every fiber.
class likeness_table {
 public:
  [[nodiscard]] bool try_begin() noexcept {
    if (in_use_.exchange(true, acquire)) return false;  // pairs: dump.likeness
    for (entry& e : entries_) e = {};
    return true;
  }
  void end() noexcept { in_use_.store(false, release); }  // pairs: dump.likeness

  void count(std::uint64_t likeness) noexcept {
    if (entry* e = find(likeness)) ++e->count;
  }
  // For how many fibers the one at hand is to be printed; 0: an earlier one stood for it. One that
  // has come into a group after the count is printed by itself, so that none is left out.
  [[nodiscard]] std::size_t take(std::uint64_t likeness) noexcept {
    entry* e = find(likeness);
    if (e == nullptr) return 1;
    if (e->met++ == 0) return std::max<std::size_t>(e->count, 1);
    return e->met <= e->count ? 0 : 1;
  }

 private:
  static constexpr std::size_t size = 1024;

  struct entry {
    std::uint64_t likeness = 0;  // 0: free
    std::uint32_t count = 0;
    std::uint32_t met = 0;  // by take()
  };

  // Null: full.
  entry* find(std::uint64_t likeness) noexcept {
    if (likeness == 0) likeness = 1;
    for (std::size_t i = 0; i < size; ++i) {
      entry& e = entries_[(likeness + i) % size];
      if (e.likeness == 0) e.likeness = likeness;
      if (e.likeness == likeness) return &e;
    }
    return nullptr;
  }

  atomic<bool> in_use_{false};
  entry entries_[size];
};

constinit likeness_table alike;

// One dump under way.
class dumper {
 public:
  dumper(report& out, dump_style style, const void* ucontext) noexcept
      : out_(out), style_(style), ucontext_(ucontext) {}
  ~dumper() {
    if (groups_ != nullptr) groups_->end();
  }
  dumper(const dumper&) = delete;
  dumper& operator=(const dumper&) = delete;

  // `walk(visit)` calls visit(fiber&) for each fiber that is to be dumped.
  template <class Walk>
  void run(Walk walk) {
    if (style_ == dump_style::plain) {
      walk([this](fiber& f) { print(fiber_look(f, fiber_look::without_stack{}), 1); });
      return;
    }
    walk([this](fiber& f) { print_cycle_from(f); });
    if (has_printed_cycle_) out_.line();
    if (alike.try_begin()) groups_ = &alike;
    if (groups_ != nullptr || style_ == dump_style::full)
      walk([this](fiber& f) { note(fiber_look(f, ucontext_)); });
    look_up_places();
    walk([this](fiber& f) {
      const fiber_look look(f, ucontext_);
      const std::size_t n = groups_ != nullptr ? groups_->take(look.likeness()) : 1;
      if (n != 0 && look.state != fiber_state::free) print(look, n);
    });
  }

  void run_one(fiber& f) {
    if (style_ == dump_style::plain) {
      print(fiber_look(f, fiber_look::without_stack{}), 1);
      return;
    }
    const fiber_look look(f, ucontext_);
    if (style_ == dump_style::full) note(look);
    look_up_places();
    print(look, 1);
  }

 private:
  void note(const fiber_look& look) noexcept {
    if (groups_ != nullptr) groups_->count(look.likeness());
    if (style_ != dump_style::full) return;
    try {
      if (!places_) places_.emplace();
      places_->add(look.frames, look.frame_count);
    } catch (const std::exception&) {
      style_ = dump_style::raw;  // no memory
    }
  }

  void look_up_places() noexcept {
    if (!places_) return;
    try {
      places_->look_up();
    } catch (const std::exception&) {
      style_ = dump_style::raw;  // likewise
    }
  }

  void print(const fiber_look& look, std::size_t alike_count) {
    const fiber& f = look.of;
    out_.text("fiber ").number(look.id).text(" [");
    print_state(f, out_, f.home->coarse_now());
    out_.text("]:");
    print_name(f, out_);
    out_.line();
    if (look.awaits.whom != owner_mark::nobody) {
      out_.text("\t");
      print_edge(look.awaits, look.id, out_);
    }
    print_frames(look);
    const bool is_new = f.never_ran.load(relaxed);  // relaxed: a report
    if (look.state == fiber_state::runnable && is_new)
      out_.text("\tto run ").line(short_type_name(type_of(f).name));
    print_creation(f, out_);
    if (alike_count > 1) out_.text("and ").number(alike_count - 1).line(" more like it");
    out_.line();
  }

  void print_frames(const fiber_look& look) {
    const std::size_t inner = count_inner_frames(look.frames, look.frame_count);
    void* const* first = look.frames + inner;
    const std::size_t count = look.frame_count - inner;
    if (style_ == dump_style::full && places_) {
      print_stack(out_, first, count, *places_);
    } else {
      print_stack(out_, first, count, names::raw);
    }
    if (look.frame_count == fiber_look::max_frames) out_.line("\t... more frames");
  }

  // Each ring is printed once: from its member with the lowest number.
  void print_cycle_from(fiber& first) {
    constexpr std::size_t longest = 64;
    wait_edge edges[longest];
    std::uint64_t ids[longest];
    const std::uint64_t lowest = first.id.load(relaxed);  // relaxed: a report
    fiber* at = &first;
    std::size_t n = 0;
    do {
      if (n == longest) return;
      ids[n] = at->id.load(relaxed);  // relaxed: a report
      edges[n] = edge_of(*at);
      const wait_edge& e = edges[n];
      if (ids[n] < lowest || e.whom == owner_mark::nobody || !is_alive(e)) return;
      at = e.record;
      ++n;
    } while (at != &first);
    for (std::size_t i = 0; i < n; ++i) {
      if (edge_of(*at) != edges[i]) return;
      at = edges[i].record;
    }
    out_.line("wait-for cycle:");
    for (std::size_t i = 0; i < n; ++i) {
      out_.text("\tfiber ").number(ids[i]).text(" ");
      print_edge(edges[i], ids[i], out_);
    }
    has_printed_cycle_ = true;
  }

  report& out_;
  dump_style style_;
  const void* ucontext_;
  likeness_table* groups_ = nullptr;
  std::optional<place_table> places_;
  bool has_printed_cycle_ = false;
};

}  // namespace

void print_state(const fiber& f, report& out, std::int64_t now) {
  out.text(state_name(f));
  // relaxed, here and below: a report
  if (f.durably.load(relaxed) != durability::none &&
      f.state.load(relaxed) == fiber_state::parked)  // relaxed: likewise
    out.text(" (durable)");
  if (const std::int64_t n = minutes_parked(f, now); n > 0)
    out.text(", ").number(n).text(" minutes");
  if (f.pin_depth.load(relaxed) != 0) out.text(", locked to thread");  // relaxed: a report
}

void print_creation(const fiber& f, report& out) {
  out.text("created by ").line(f.created_at.function.load(relaxed));  // relaxed: a report
  out.text("\t").text(f.created_at.file.load(relaxed)).text(":");     // relaxed: a report
  out.number(f.created_at.line.load(relaxed)).line();                 // relaxed: a report
}

void dump_fiber(fiber& f, report& out, dump_style style) { dumper(out, style, nullptr).run_one(f); }

void dump_fibers(const scheduler& s, report& out, dump_style style) {
  dumper(out, style, nullptr).run([&](auto visit) {
    s.for_each_record([&](fiber& f) {
      if (is_reported(f)) visit(f);
    });
  });
}

void dump_bubble(const bubble_state& b, report& out) {
  struct filter {
    const bubble_state& b;
    void (*visit)(fiber& f, void* to);
    void* to;
  };
  dumper(out, dump_style::full, nullptr).run([&](auto visit) {
    filter only{b, [](fiber& f, void* to) { (*static_cast<decltype(visit)*>(to))(f); }, &visit};
    for_each_scheduler_unlocked(
        [](scheduler& s, void* argument) {
          const auto& wanted = *static_cast<filter*>(argument);
          s.for_each_record([&](fiber& f) {
            if (f.bubble() == &wanted.b && f.state.load(relaxed) == fiber_state::parked &&
                f.durably.load(relaxed) != durability::none)  // relaxed: a report
              wanted.visit(f, wanted.to);
          });
        },
        &only);
  });
}

void dump_all(report& out, dump_style style, const void* ucontext) noexcept {
  dumper(out, style, ucontext).run([](auto visit) {
    for_each_scheduler_unlocked(
        [](scheduler& s, void* argument) {
          s.for_each_record([&](fiber& f) {
            if (is_reported(f)) (*static_cast<decltype(visit)*>(argument))(f);
          });
        },
        &visit);
  });
}

std::string_view short_type_name(std::string_view pretty) noexcept {
  const auto begin = pretty.find("F = ");
  if (begin == std::string_view::npos) return pretty;
  std::string_view name = pretty.substr(begin + 4);
  // g++ goes on with its expansion of the result's type.
  const auto end = name.rfind("; std::string_view = ");
  return name.substr(0, end != std::string_view::npos ? end : name.rfind(']'));
}

std::string_view file_name(std::string_view path) noexcept {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace weft::inline WEFT_ABI::detail
