// Writes and reads the lines of sha256sum.
#include "list.hpp"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

namespace digest {

namespace {

constexpr std::size_t hex_size = 2 * std::tuple_size_v<sha256>;

std::string unescaped(std::string_view text, bool& ok) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      name += text[i];
      continue;
    }
    const char code = ++i < text.size() ? text[i] : '\0';
    const std::size_t which = std::string_view("\\nr").find(code);
    if (which == std::string_view::npos) {
      ok = false;
      break;
    }
    name += "\\\n\r"[which];
  }
  return name;
}

bool parse_digest(std::string_view hex, sha256& digest) {
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const char* first = hex.data() + 2 * i;
    const auto [end, error] = std::from_chars(first, first + 2, digest[i], 16);
    if (error != std::errc{} || end != first + 2) return false;
  }
  return true;
}

}  // namespace

listed_name listed(std::string_view name) {
  if (name.find_first_of("\\\n\r") == std::string_view::npos) return {"", std::string(name)};
  std::string text;
  for (const char c : name) {
    switch (c) {
      case '\\':
        text += "\\\\";
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      default:
        text += c;
    }
  }
  return {"\\", std::move(text)};
}

std::string line_of(const hashed& file) {
  const listed_name name = listed(file.file.path);
  return fmt::format("{}{:02x}  {}\n", name.mark, fmt::join(file.digest, ""), name.text);
}

std::optional<list_entry> parse_line(std::string_view line) {
  const bool is_escaped = line.starts_with('\\');
  if (is_escaped) line.remove_prefix(1);
  // The digest, a space, a space or an asterisk (text or binary: the same thing), the name.
  if (line.size() <= hex_size + 2 || line[hex_size] != ' ') return std::nullopt;
  if (line[hex_size + 1] != ' ' && line[hex_size + 1] != '*') return std::nullopt;
  list_entry entry;
  bool ok = parse_digest(line.substr(0, hex_size), entry.digest);
  const std::string_view name = line.substr(hex_size + 2);
  entry.name = is_escaped ? unescaped(name, ok) : std::string(name);
  return ok ? std::optional(std::move(entry)) : std::nullopt;
}

}  // namespace digest
