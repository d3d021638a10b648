// Lines and the progress bar on stderr.
#include "screen.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace digest {

void say(std::string_view text) { fmt::print(stderr, "digest: {}\n", text); }

std::string printable(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c == '\n') {
      text += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      text += fmt::format("\\x{:02x}", c);
    } else {
      text += c;
    }
  }
  return text;
}

double megabytes_per_second(std::uint64_t bytes, weft::clock::duration elapsed) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  return static_cast<double>(bytes) / 1e6 / std::max(seconds, 1e-9);
}

screen::screen() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void screen::complain(std::string_view name, std::string_view reason) {
  clear();
  say(fmt::format("{}: {}", printable(name), reason));
}

void screen::draw(const progress& p, weft::clock::duration elapsed) {
  constexpr std::size_t width = 30;
  const std::size_t filled = p.found == 0 ? 0 : std::min(width, width * p.done / p.found);
  fmt::print(stderr, "\r[{:.<{}}] {}/{} files, {:.1f} MB/s\x1b[K", std::string(filled, '#'), width,
             p.done, p.found, megabytes_per_second(p.bytes, elapsed));
  std::fflush(stderr);
  has_bar_ = true;
}

void screen::clear() {
  if (!has_bar_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  has_bar_ = false;
}

}  // namespace digest
