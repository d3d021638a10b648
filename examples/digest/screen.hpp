// What digest says on stderr: complaints, one line each, and on a terminal a bar that moves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <weft/time.hpp>

namespace digest {

struct progress {
  std::size_t found = 0;
  std::size_t done = 0;
  std::uint64_t bytes = 0;
};

// One line `digest: TEXT`.
void say(std::string_view text);

// A file's name for a message: what would break the line is written as in C.
std::string printable(std::string_view name);

double megabytes_per_second(std::uint64_t bytes, weft::clock::duration elapsed);

class screen {
 public:
  screen();

  [[nodiscard]] bool is_terminal() const { return is_terminal_; }
  void complain(std::string_view name, std::string_view reason);
  void draw(const progress& p, weft::clock::duration elapsed);
  void clear();

 private:
  bool is_terminal_;
  bool has_bar_ = false;
};

}  // namespace digest
