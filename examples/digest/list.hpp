// The format of sha256sum: a line `DIGEST  NAME` for each file.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline.hpp"

namespace digest {

// A name as it stands in a list. A backslash, a newline or a carriage return in it is written as
// `\\`, `\n` or `\r`, and the whole line begins with a backslash then.
struct listed_name {
  std::string_view mark;  // what the line begins with
  std::string text;
};
listed_name listed(std::string_view name);

std::string line_of(const hashed& file);

struct list_entry {
  sha256 digest;
  std::string name;
};

// Nothing for a line that is none.
std::optional<list_entry> parse_line(std::string_view line);

}  // namespace digest
