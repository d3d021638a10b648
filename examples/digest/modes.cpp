// Makes and checks lists: what is done with the results of the pipeline.
#include "modes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <system_error>

#include "list.hpp"
#include "pipeline.hpp"
#include "screen.hpp"

namespace digest {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// To standard output, which may be a full disk or a slow pipe.
void write_out(std::string_view text) {
  weft::blocking([text]() mutable {
    while (!text.empty()) {
      const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
      if (n < 0 && errno != EINTR) fail("standard output");
      if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
    }
  });
}

// False, and a line on stderr, when that fails.
bool print(std::string_view text) try {
  write_out(text);
  return true;
} catch (const std::system_error& e) {
  say(fmt::format("standard output: {}", e.code().message()));
  return false;
}

std::string read_descriptor(int fd) {
  std::string text;
  for (std::size_t used = 0;;) {
    text.resize(used + 64 * 1024);
    const ssize_t n = ::read(fd, text.data() + used, text.size() - used);
    if (n < 0 && errno != EINTR) fail("read");
    if (n > 0) used += static_cast<std::size_t>(n);
    if (n == 0) {
      text.resize(used);
      return text;
    }
  }
}

std::string read_file(const std::string& path) {
  return weft::blocking([&] {
    if (path == "-") return read_descriptor(STDIN_FILENO);
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("open");
    struct closer {
      int fd;
      ~closer() { ::close(fd); }
    } closes{fd};
    return read_descriptor(fd);
  });
}

unsigned jobs_of(const options& o) { return o.jobs != 0 ? o.jobs : 2 * weft::procs(); }

void summarize(const results& r) {
  say(fmt::format("{} files, {} bytes, {:.1f} MB/s, {} fibers started", r.files.size(), r.bytes,
                  megabytes_per_second(r.bytes, r.elapsed), crew::started.load()));
}

int interrupted(const results& r) {
  say(fmt::format("{} after {} files; nothing was printed",
                  r.signal == SIGINT ? "interrupted" : "terminated", r.files.size()));
  return 128 + r.signal;
}

// The lines of a list, and how the check of each has ended.
enum class verdict { unreadable, mismatch, match };

struct checklist {
  std::vector<list_entry> entries;
  std::vector<verdict> verdicts;  // one for each entry
  std::size_t malformed = 0;
};

checklist parse_list(std::string_view text) {
  checklist list;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('#')) continue;
    if (auto entry = parse_line(line)) {
      list.entries.push_back(*std::move(entry));
    } else {
      ++list.malformed;
    }
  }
  list.verdicts.resize(list.entries.size(), verdict::unreadable);
  return list;
}

std::string verdict_lines(const checklist& list) {
  std::string lines;
  for (std::size_t i = 0; i < list.entries.size(); ++i) {
    constexpr std::string_view words[] = {"FAILED open or read", "FAILED", "OK"};
    const listed_name name = listed(list.entries[i].name);
    lines += fmt::format("{}{}: {}\n", name.mark, name.text,
                         words[static_cast<std::size_t>(list.verdicts[i])]);
  }
  return lines;
}

void warn(std::size_t count, std::string_view one, std::string_view many) {
  if (count != 0) say(fmt::format("WARNING: {} {}", count, count == 1 ? one : many));
}

}  // namespace

int make_list(const options& o) {
  results r = run_pipeline(files_of_tree(o.root, o.follow), jobs_of(o));
  if (r.signal != 0) return interrupted(r);
  std::ranges::sort(r.files, {}, [](const hashed& h) -> const std::string& { return h.file.path; });
  std::string lines;
  for (const hashed& file : r.files) lines += line_of(file);
  const bool printed = print(lines);
  summarize(r);
  return printed && r.failures.empty() ? 0 : 1;
}

int check_list(const options& o) {
  checklist list;
  try {
    list = parse_list(read_file(o.list));
  } catch (const std::system_error& e) {
    say(fmt::format("{}: {}", printable(o.list), e.code().message()));
    return 1;
  }
  if (list.entries.empty()) {
    say(fmt::format("{}: no properly formatted checksum lines found", printable(o.list)));
    return 1;
  }
  std::vector<std::string> names;
  names.reserve(list.entries.size());
  for (const list_entry& entry : list.entries) names.push_back(entry.name);

  const results r = run_pipeline(files_of_list(std::move(names)), jobs_of(o));
  if (r.signal != 0) return interrupted(r);
  for (const hashed& h : r.files) {
    const bool same = list.entries[h.file.number].digest == h.digest;
    list.verdicts[h.file.number] = same ? verdict::match : verdict::mismatch;
  }
  const bool printed = print(verdict_lines(list));
  const auto mismatches =
      static_cast<std::size_t>(std::ranges::count(list.verdicts, verdict::mismatch));
  warn(list.malformed, "line is improperly formatted", "lines are improperly formatted");
  warn(r.failures.size(), "listed file could not be read", "listed files could not be read");
  warn(mismatches, "computed checksum did NOT match", "computed checksums did NOT match");
  summarize(r);
  return printed && r.failures.empty() && mismatches == 0 ? 0 : 1;
}

}  // namespace digest
