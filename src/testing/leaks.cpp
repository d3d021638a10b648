// Finding the fibers that a test has left behind.
#include <algorithm>
#include <chrono>
#include <string_view>

#include "weft/testing.hpp"
#include "weft/time.hpp"

namespace weft::inline WEFT_ABI::testing {

namespace {

constexpr int tries = 20;
constexpr std::chrono::milliseconds first_pause{5};  // the last one is tries - 1 times as long

// `wanted` is the whole name, or the end of it that begins with a part, without parameters.
bool is_named(std::string_view function, std::string_view wanted) noexcept {
  if (wanted.empty()) return false;
  for (std::size_t at = function.find(wanted); at != std::string_view::npos;
       at = function.find(wanted, at + 1)) {
    const bool begins = at == 0 || function[at - 1] == ':' || function[at - 1] == ' ';
    const std::size_t end = at + wanted.size();
    if (begins && (end == function.size() || function[end] == '(' || function[end] == '<'))
      return true;
  }
  return false;
}

bool is_ignored(const debug::fiber_info& f, const leak_options& options) {
  const auto names = [](const std::vector<std::string>& wanted, const debug::frame& frame) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](const std::string& name) { return is_named(frame.function, name); });
  };
  if (std::find(options.ignore.begin(), options.ignore.end(), f.id) != options.ignore.end())
    return true;
  if (!f.stack.empty() && names(options.ignore_top, f.stack.front())) return true;
  return std::any_of(f.stack.begin(), f.stack.end(),
                     [&](const debug::frame& frame) { return names(options.ignore_any, frame); });
}

std::vector<debug::fiber_info> left_over(const leak_options& options, debug::stacks how) {
  std::vector<debug::fiber_info> fibers = debug::fibers(how);
  const fiber_id own = this_fiber::id();
  std::erase_if(fibers, [&](const debug::fiber_info& f) {
    // Who drives a bubble waits for its fibers, which are listed.
    return f.id == own || f.state == "bubble" || is_ignored(f, options);
  });
  return fibers;
}

}  // namespace

leak_report find_leaks(leak_options options) {
  const bool by_name = !options.ignore_top.empty() || !options.ignore_any.empty();
  const debug::stacks quick = by_name ? debug::stacks::with_places : debug::stacks::none;
  // About a second in all.
  for (int i = 1; i < tries; ++i) {
    if (left_over(options, quick).empty()) return {};
    sleep_for(i * first_pause);
  }
  return {left_over(options, debug::stacks::with_places)};
}

leak_options ignore_current() {
  leak_options options;
  for (const debug::fiber_info& f : debug::fibers(debug::stacks::none))
    options.ignore.push_back(f.id);
  return options;
}

std::string to_string(const leak_report& report) {
  std::string text;
  for (const debug::fiber_info& f : report.fibers) {
    text += "fiber " + weft::to_string(f.id) + " [" + f.state + "]:";
    if (!f.name.empty()) text += " " + f.name;
    text += "\n";
    for (const debug::frame& frame : f.stack)
      text += frame.function + "\n\t" + frame.file + ":" + std::to_string(frame.line) + "\n";
    text += "created by " + f.created_at.function + "\n\t" + f.created_at.file + ":" +
            std::to_string(f.created_at.line) + "\n\n";
  }
  return text;
}

}  // namespace weft::inline WEFT_ABI::testing
