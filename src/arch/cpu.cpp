// CPU counting: the affinity mask, and the control groups that /proc tells of.
#include "weft/arch/cpu.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>

#if defined(__linux__)
#include <sched.h>
#endif

#include "weft/arch/fault.hpp"

namespace weft::inline WEFT_ABI::detail {

namespace {

using text = std::string_view;

// The part of `rest` before `end`, which is taken off together with it.
text take_until(text& rest, char end) noexcept {
  const std::size_t n = std::min(rest.find(end), rest.size());
  const text part = rest.substr(0, n);
  rest.remove_prefix(std::min(n + 1, rest.size()));
  return part;
}

text trimmed(text t) noexcept {
  constexpr text blanks = " \t\r\n";
  const std::size_t first = t.find_first_not_of(blanks);
  if (first == text::npos) return {};
  return t.substr(first, t.find_last_not_of(blanks) - first + 1);
}

// Nothing unless all of it is a number.
std::optional<std::uint64_t> number(text t) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), value);
  if (error != std::errc{} || end != t.data() + t.size()) return std::nullopt;
  return value;
}

bool lists(text commas, text wanted) noexcept {
  while (!commas.empty()) {
    if (take_until(commas, ',') == wanted) return true;
  }
  return false;
}

// mountinfo writes blanks and backslashes as \ooo.
std::string unescape(text t) {
  std::string result;
  result.reserve(t.size());
  const auto digit = [&](std::size_t i) { return i < t.size() && t[i] >= '0' && t[i] <= '7'; };
  for (std::size_t i = 0; i < t.size(); ++i) {
    if (t[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      const int code = (t[i + 1] - '0') * 64 + (t[i + 2] - '0') * 8 + (t[i + 3] - '0');
      result += static_cast<char>(code);
      i += 3;
    } else {
      result += t[i];
    }
  }
  return result;
}

// The path of the group in its hierarchy, from lines "number:controllers:path".
std::optional<std::string> group_path(bool unified, text cgroup) {
  while (!cgroup.empty()) {
    text line = take_until(cgroup, '\n');
    const text hierarchy = take_until(line, ':');
    const text controllers = take_until(line, ':');
    const bool fits = unified ? hierarchy == "0" && controllers.empty() : lists(controllers, "cpu");
    if (fits) return std::string(line);
  }
  return std::nullopt;
}

struct mount {
  std::string root;  // the directory of the hierarchy that is seen at `point`
  std::string point;
};

// From lines "id parent device root point options [optional...] - type source superoptions".
std::optional<mount> find_mount(bool unified, text mountinfo) {
  while (!mountinfo.empty()) {
    text line = take_until(mountinfo, '\n');
    for (int skipped = 0; skipped < 3; ++skipped) take_until(line, ' ');
    const text root = take_until(line, ' ');
    const text point = take_until(line, ' ');
    const std::size_t dash = line.find(" - ");
    if (dash == text::npos) continue;
    line.remove_prefix(dash + 3);
    const text type = take_until(line, ' ');
    take_until(line, ' ');
    const bool fits = unified ? type == "cgroup2" : type == "cgroup" && lists(line, "cpu");
    if (fits) return mount{unescape(root), unescape(point)};
  }
  return std::nullopt;
}

// `path` as seen below a mount of `root`. A group that lies outside, as in a container that shares
// its host's paths but not its mounts, is taken to be the mount's own.
std::string below(const std::string& root, const std::string& path) {
  const std::string prefix = root == "/" ? "" : root;
  if (!path.starts_with(prefix) || path.starts_with("/..")) return {};
  std::string rest = path.substr(prefix.size());
  if (!rest.empty() && rest.front() != '/') return {};
  while (!rest.empty() && rest.back() == '/') rest.pop_back();
  return rest;
}

// Empty if it cannot be read.
std::string read_file(const std::string& path) {
  std::string content;
  const int file = may_fail("open", [&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (file < 0) return content;
  char buffer[4096];
  for (int interruptions = 0;;) {
    const ssize_t n = may_fail("read", [&] { return ::read(file, buffer, sizeof buffer); });
    if (n > 0) {
      content.append(buffer, static_cast<std::size_t>(n));
    } else if (n == 0) {
      break;
    } else if (errno != EINTR || ++interruptions == 100) {
      content.clear();  // half a file may say something else
      break;
    }
  }
  ::close(file);
  return content;
}

cpu_quota quota_of(bool unified, const std::string& directory) {
  if (unified) return parse_cpu_max(read_file(directory + "/cpu.max"));
  return parse_cfs(read_file(directory + "/cpu.cfs_quota_us"),
                   read_file(directory + "/cpu.cfs_period_us"));
}

}  // namespace

cpu_quota tighter(const cpu_quota& a, const cpu_quota& b) noexcept {
  if (!a.is_limited()) return b;
  if (!b.is_limited()) return a;
  const auto share = [](const cpu_quota& q) {
    return static_cast<double>(q.quota) / static_cast<double>(q.period);
  };
  return share(b) < share(a) ? b : a;
}

unsigned apply_quota(unsigned cpus, const cpu_quota& q) noexcept {
  if (!q.is_limited()) return cpus;
  const std::uint64_t whole = q.quota / q.period + (q.quota % q.period != 0 ? 1 : 0);
  const std::uint64_t allowed = std::max<std::uint64_t>(whole, 2);
  return static_cast<unsigned>(std::min<std::uint64_t>(cpus, allowed));
}

cpu_quota parse_cpu_max(std::string_view content) noexcept {
  text rest = trimmed(content);
  const auto quota = number(take_until(rest, ' '));
  const auto period = number(trimmed(rest));
  if (!quota || !period || *quota == 0 || *period == 0) return {};
  return {*quota, *period};
}

cpu_quota parse_cfs(std::string_view quota, std::string_view period) noexcept {
  const auto q = number(trimmed(quota));  // "-1" is no such number
  const auto p = number(trimmed(period));
  if (!q || !p || *q == 0 || *p == 0) return {};
  return {*q, *p};
}

cpu_group find_cpu_group(bool unified, std::string_view cgroup, std::string_view mountinfo) {
  const auto path = group_path(unified, cgroup);
  if (!path) return {};
  auto found = find_mount(unified, mountinfo);
  if (!found) return {};
  return {unified, std::move(found->point), below(found->root, *path)};
}

cpu_quota find_cpu_quota(const std::string& root) {
  const std::string cgroup = read_file(root + "/proc/self/cgroup");
  const std::string mountinfo = read_file(root + "/proc/self/mountinfo");
  cpu_quota result;
  for (const bool unified : {true, false}) {
    const cpu_group group = find_cpu_group(unified, cgroup, mountinfo);
    if (group.mount_point.empty()) continue;
    std::string path = group.path;
    while (true) {
      result = tighter(result, quota_of(unified, root + group.mount_point + path));
      if (path.empty()) break;
      path.resize(path.rfind('/'));
    }
  }
  return result;
}

unsigned affinity_cpus() noexcept {
#if defined(__linux__)
  // The kernel refuses a mask that is smaller than its own.
  constexpr std::size_t most = std::size_t{1} << 20;
  for (std::size_t cpus = CPU_SETSIZE; cpus <= most; cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    const int refused =
        may_fail("sched_getaffinity", [&] { return ::sched_getaffinity(0, bytes, set); });
    const int error = errno;
    const int count = refused == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return static_cast<unsigned>(count);
    if (error != EINVAL) break;
  }
#endif
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<unsigned>(online) : 1;
}

unsigned usable_cpus() noexcept {
  const unsigned cpus = affinity_cpus();
  try {
    return apply_quota(cpus, find_cpu_quota(""));
  } catch (...) {  // no memory for the texts: the quota is an advice, the mask is the bound
    return cpus;
  }
}

}  // namespace weft::inline WEFT_ABI::detail
