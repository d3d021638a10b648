// How many CPUs the process may use: its affinity, bounded by the CPU quota of its control groups.
//
// Model       usable = min(CPUs in the affinity mask, max(2, ceil(quota / period))), at least 1.
//             The quota is the tightest along the path from the process's group up to the mount,
//             for the old and the new kind of control groups. The same rule as Go's since 1.25,
//             which looks at the innermost group only.
// Rejected    a floor of 1 for the quota: a quota bounds a sum of time, not how many run at once,
//             and one processor would leave nothing to run beside a busy fiber.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weft/base/config.hpp"

namespace weft::inline WEFT_ABI::detail {

// Looked up anew each time; some 100 us.
[[nodiscard]] unsigned usable_cpus() noexcept;

// CPUs in the affinity mask of the calling thread, also beyond 1,024; at least 1.
[[nodiscard]] unsigned affinity_cpus() noexcept;

// A share of CPU time: quota microseconds in each period. No limit: quota 0.
struct cpu_quota {
  std::uint64_t quota = 0;
  std::uint64_t period = 0;

  [[nodiscard]] bool is_limited() const noexcept { return quota != 0 && period != 0; }
};

// The tighter of two.
[[nodiscard]] cpu_quota tighter(const cpu_quota& a, const cpu_quota& b) noexcept;

// What `cpus` become under a quota: rounded up, at least 2, at most `cpus`.
[[nodiscard]] unsigned apply_quota(unsigned cpus, const cpu_quota& q) noexcept;

// The text of a cpu.max file ("max 100000", "150000 100000"); no limit if it is malformed.
[[nodiscard]] cpu_quota parse_cpu_max(std::string_view text) noexcept;

// The texts of cpu.cfs_quota_us and cpu.cfs_period_us; a quota of -1 is no limit.
[[nodiscard]] cpu_quota parse_cfs(std::string_view quota, std::string_view period) noexcept;

// A control group that bounds the process's CPU time.
struct cpu_group {
  bool unified = false;     // the new kind: cpu.max
  std::string mount_point;  // where its hierarchy is mounted; empty: none found
  std::string path;         // from there down to the group: "" or "/a/b"
};

// Finds the group of the new kind, or of the old, from the texts of /proc/self/cgroup and
// /proc/self/mountinfo.
[[nodiscard]] cpu_group find_cpu_group(bool unified, std::string_view cgroup,
                                       std::string_view mountinfo);

// The quota of the process whose /proc and control groups lie under `root` ("" for the real ones).
[[nodiscard]] cpu_quota find_cpu_quota(const std::string& root);

}  // namespace weft::inline WEFT_ABI::detail
