// The random walk, PCT, and the text of a schedule.
#include "weft/testing/chooser.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

#include "weft/arch/places.hpp"
#include "weft/sched/dump.hpp"
#include "weft/sched/look.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

// Under PCT: chosen so often in a row, a fiber falls behind.
constexpr unsigned longest_row = 500;
// The changes of priority lie in the first 2^4 to 2^11 steps.
constexpr unsigned least_power = 4;
constexpr unsigned powers = 8;

// The choices shall not go in step with those of select, which are drawn from the same seed.
constexpr std::uint64_t stream = 0xd1342543de82ef95U;

}  // namespace

schedule_chooser::schedule_chooser(std::uint64_t seed, unsigned preemptions, bool is_told)
    : random_(seed ^ stream),
      is_told_(is_told),
      is_by_priority_(preemptions != 0),
      lowest_(std::numeric_limits<std::uint32_t>::max()) {
  if (!is_by_priority_) return;
  const std::uint32_t bound = std::uint32_t{1} << (least_power + random_.below(powers));
  for (unsigned i = 0; i < preemptions; ++i) change_at_.push_back(1 + random_.below(bound));
  std::sort(change_at_.begin(), change_at_.end(), std::greater<>());
}

std::size_t schedule_chooser::choose(fiber* const* runnable, std::size_t n) noexcept {
  const std::size_t chosen = is_by_priority_ ? choose_by_priority(runnable, n)
                                             : random_.below(static_cast<std::uint32_t>(n));
  if (is_told_) tell(*runnable[chosen]);
  last_ = runnable[chosen];
  last_id_ = last_->id.load(relaxed);  // relaxed: the loop's
  return chosen;
}

void schedule_chooser::deadlocked(std::string dump) noexcept {
  if (deadlock_.empty()) deadlock_ = std::move(dump);
}

schedule_chooser::known& schedule_chooser::find(const fiber& f) {
  const std::uint64_t id = f.id.load(relaxed);  // relaxed: the loop's
  const auto [place, is_new] = numbers_.try_emplace(id, fibers_.size());
  if (is_new) {
    known k;
    k.id = id;
    // Above all that have fallen behind.
    if (is_by_priority_) k.priority = (std::uint64_t{1} << 32U) + (random_.next() >> 32U);
    if (is_told_) {
      // relaxed, here and below: constant while it lives
      k.name = std::string("fiber ") + std::to_string(place->second) + " (" +
               std::string(file_name(f.created_at.file.load(relaxed))) + ":" +  // relaxed: so
               std::to_string(f.created_at.line.load(relaxed)) + ")";           // relaxed: so
    }
    fibers_.push_back(std::move(k));
  }
  return fibers_[place->second];
}

std::size_t schedule_chooser::choose_by_priority(fiber* const* runnable, std::size_t n) {
  ++step_;
  const bool is_due = !change_at_.empty() && change_at_.back() <= step_;
  if (is_due) change_at_.pop_back();
  std::size_t best = n;
  std::uint64_t highest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    known& k = find(*runnable[i]);
    const bool ran_last = runnable[i] == last_ && k.id == last_id_;
    if (ran_last && (is_due || in_a_row_ >= longest_row)) k.priority = lowest_--;
    if (best == n || k.priority > highest) {
      best = i;
      highest = k.priority;
    }
  }
  const bool again = runnable[best] == last_ && find(*runnable[best]).id == last_id_;
  in_a_row_ = again ? in_a_row_ + 1 : 0;
  return best;
}

// The fiber that ran last stands, or has ended.
void schedule_chooser::note_how_it_stopped() {
  turn& t = turns_.back();
  fiber& f = *last_;
  const fiber_look look(f, nullptr);
  if (look.id != last_id_ || look.state == fiber_state::free) {
    t.how = "ends";
    t.where.clear();
    return;
  }
  t.how = look.state == fiber_state::parked
              ? "blocked: " + std::string(name_of(f.reason.load(relaxed)))  // relaxed: it stands
              : "preempted";
  const std::size_t inner = count_inner_frames(look.frames, look.frame_count);
  t.where.assign(look.frames + inner, look.frames + look.frame_count);
}

void schedule_chooser::tell(fiber& next) {
  static_cast<void>(find(next));
  const std::uint64_t id = next.id.load(relaxed);  // relaxed: the loop's
  if (last_ != nullptr) {
    note_how_it_stopped();
    if (&next == last_ && id == last_id_ && turns_.back().how == "preempted") {
      ++turns_.back().entries;
      turns_.back().how.clear();
      turns_.back().where.clear();
      return;
    }
  }
  turns_.push_back({numbers_.at(id), 1, {}, {}});
}

// The innermost function that is not weft's. Where weft's are inlined into it, the line is one of
// theirs, and helps nobody. Where all is inlined into weft's, theirs tells at least the operation.
std::string schedule_chooser::place_of(const turn& t, const place_table& places) {
  for (void* pc : t.where) {
    const place* p = places.find(pc);
    if (p == nullptr || p->function.empty() || p->function.rfind("weft::", 0) == 0) continue;
    std::string text = " in " + p->function;
    if (p->line != 0 && p->file.find("include/weft/") == std::string::npos)
      text += ", " + std::string(file_name(p->file)) + ":" + std::to_string(p->line);
    return text;
  }
  const place* p = t.where.empty() ? nullptr : places.find(t.where.front());
  if (p == nullptr || p->line == 0) return {};
  return " at " + std::string(file_name(p->file)) + ":" + std::to_string(p->line);
}

std::string schedule_chooser::schedule() {
  if (!turns_.empty() && turns_.back().how.empty()) turns_.back().how = "ends";
  place_table places;
  for (turn& t : turns_) places.add(t.where.data(), t.where.size());
  places.look_up();
  std::string text;
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    const turn& t = turns_[i];
    text += std::to_string(i + 1) + ". " + fibers_[t.who].name + " runs";
    if (t.entries > 1) text += ", " + std::to_string(t.entries) + " steps";
    text += "; " + t.how;
    text += place_of(t, places) + "\n";
  }
  return text;
}

}  // namespace weft::inline WEFT_ABI::detail
