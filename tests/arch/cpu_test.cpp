// The CPU count: masks, quotas of both kinds of control groups, and hierarchies made of files.
#include "weft/arch/cpu.hpp"

#include <sched.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "weft/arch/fault.hpp"

using namespace weft::detail;
namespace fs = std::filesystem;

namespace {

bool same(const cpu_quota& q, std::uint64_t quota, std::uint64_t period) {
  return q.quota == quota && q.period == period;
}

// A directory that stands for the root of a system.
class fake_root {
 public:
  fake_root() {
    std::string name = (fs::temp_directory_path() / "weft-cpu-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~fake_root() { fs::remove_all(path_); }
  fake_root(const fake_root&) = delete;
  fake_root& operator=(const fake_root&) = delete;

  void file(const std::string& name, const std::string& content) const {
    const fs::path p = path_ + name;
    fs::create_directories(p.parent_path());
    std::ofstream(p) << content;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr const char* unified_mount =
    "24 1 0:22 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "31 24 0:28 / /sys/fs/cgroup rw,nosuid,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

constexpr const char* old_mounts =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

std::atomic<int> reads{0};

template <int Error>
int refuse_every_second_read(const char* call) noexcept {
  return std::strcmp(call, "read") == 0 && ++reads % 2 == 0 ? Error : 0;
}

}  // namespace

TEST_CASE("cpu: half of a file is as good as none, an interrupted read goes on",
          "[arch][cpu][unit]") {
  const fake_root root;
  root.file("/proc/self/cgroup", "0::/\n");
  root.file("/proc/self/mountinfo", unified_mount);
  root.file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
  reads = 0;
  set_fault_hook_for_testing(refuse_every_second_read<EIO>);
  const cpu_quota refused = find_cpu_quota(root.path());
  reads = 0;
  set_fault_hook_for_testing(refuse_every_second_read<EINTR>);
  const cpu_quota interrupted = find_cpu_quota(root.path());
  set_fault_hook_for_testing(nullptr);
  CHECK_FALSE(refused.is_limited());
  CHECK(same(interrupted, 300'000, 100'000));
}

TEST_CASE("cpu: a quota is rounded up, to two at least and to the mask at most",
          "[arch][cpu][unit]") {
  CHECK(apply_quota(8, {}) == 8);
  CHECK(apply_quota(8, {50'000, 100'000}) == 2);
  CHECK(apply_quota(8, {100'000, 100'000}) == 2);
  CHECK(apply_quota(8, {200'000, 100'000}) == 2);
  CHECK(apply_quota(8, {200'001, 100'000}) == 3);
  CHECK(apply_quota(8, {250'000, 100'000}) == 3);
  CHECK(apply_quota(8, {800'000, 100'000}) == 8);
  CHECK(apply_quota(8, {9'000'000, 100'000}) == 8);
  CHECK(apply_quota(8, {UINT64_MAX, 1}) == 8);
  CHECK(apply_quota(1, {50'000, 100'000}) == 1);
}

TEST_CASE("cpu: the tighter of two quotas is that of the smaller share", "[arch][cpu][unit]") {
  CHECK(same(tighter({}, {}), 0, 0));
  CHECK(same(tighter({3, 1}, {}), 3, 1));
  CHECK(same(tighter({}, {3, 1}), 3, 1));
  CHECK(same(tighter({400'000, 200'000}, {300'000, 100'000}), 400'000, 200'000));
  CHECK(same(tighter({300'000, 100'000}, {400'000, 200'000}), 400'000, 200'000));
}

TEST_CASE("cpu: cpu.max is read, and what is malformed is no limit", "[arch][cpu][unit]") {
  CHECK(same(parse_cpu_max("150000 100000\n"), 150'000, 100'000));
  CHECK(same(parse_cpu_max("50000 20000"), 50'000, 20'000));
  for (const char* none :
       {"max 100000\n", "", "\n", "1", "x y", "100000 0", "0 100000", "-1 100000",
        "100000 100000 3", "1e5 100000", "99999999999999999999999 1"}) {
    INFO(none);
    CHECK_FALSE(parse_cpu_max(none).is_limited());
  }
}

TEST_CASE("cpu: the old quota files are read, and -1 is no limit", "[arch][cpu][unit]") {
  CHECK(same(parse_cfs("400000\n", "100000\n"), 400'000, 100'000));
  CHECK_FALSE(parse_cfs("-1\n", "100000\n").is_limited());
  CHECK_FALSE(parse_cfs("", "").is_limited());
  CHECK_FALSE(parse_cfs("400000\n", "0\n").is_limited());
}

TEST_CASE("cpu: the group is found in the texts of /proc", "[arch][cpu][unit]") {
  SECTION("of the new kind") {
    const cpu_group g = find_cpu_group(true, "0::/user.slice/app\n", unified_mount);
    CHECK(g.unified);
    CHECK(g.mount_point == "/sys/fs/cgroup");
    CHECK(g.path == "/user.slice/app");
  }
  SECTION("of the old kind, among others, whose names contain it") {
    const char* groups = "9:name=systemd:/x\n3:cpuset:/y\n2:cpuacct,cpu:/a/b\n0::/z\n";
    const cpu_group g = find_cpu_group(false, groups, old_mounts);
    CHECK_FALSE(g.unified);
    CHECK(g.mount_point == "/sys/fs/cgroup/cpu,cpuacct");
    CHECK(g.path == "/a/b");
    CHECK(find_cpu_group(true, groups, old_mounts).mount_point == "/sys/fs/cgroup/unified");
  }
  SECTION("none") {
    CHECK(find_cpu_group(true, "", unified_mount).mount_point.empty());
    CHECK(find_cpu_group(false, "0::/a\n", unified_mount).mount_point.empty());
    CHECK(find_cpu_group(true, "0::/a\n", "").mount_point.empty());
    CHECK(find_cpu_group(true, "0::/a\n", "broken line\n").mount_point.empty());
  }
  SECTION("the root group") { CHECK(find_cpu_group(true, "0::/\n", unified_mount).path.empty()); }
  SECTION("a mount of a part of the hierarchy, as in a container") {
    const char* mount = "31 24 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
    CHECK(find_cpu_group(true, "0::/docker/abc\n", mount).path.empty());
    CHECK(find_cpu_group(true, "0::/docker/abc/inner\n", mount).path == "/inner");
    CHECK(find_cpu_group(true, "0::/docker/abcdef\n", mount).path.empty());
    CHECK(find_cpu_group(true, "0::/../other\n", unified_mount).path.empty());
  }
  SECTION("a mount point with a blank, and a name with a colon") {
    const char* mount = "31 24 0:28 / /my\\040cgroups\\134 rw - cgroup2 cgroup2 rw\n";
    const cpu_group g = find_cpu_group(true, "0::/a:b\n", mount);
    CHECK(g.mount_point == "/my cgroups\\");
    CHECK(g.path == "/a:b");
  }
}

TEST_CASE("cpu: the tightest quota on the way up counts", "[arch][cpu][unit]") {
  const fake_root root;
  root.file("/proc/self/cgroup", "0::/a/b/c\n");
  root.file("/proc/self/mountinfo", unified_mount);
  CHECK_FALSE(find_cpu_quota(root.path()).is_limited());
  root.file("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
  CHECK_FALSE(find_cpu_quota(root.path()).is_limited());
  root.file("/sys/fs/cgroup/a/b/cpu.max", "500000 100000\n");
  CHECK(same(find_cpu_quota(root.path()), 500'000, 100'000));
  root.file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  CHECK(same(find_cpu_quota(root.path()), 300'000, 100'000));
  root.file("/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
  CHECK(same(find_cpu_quota(root.path()), 300'000, 100'000));
  root.file("/sys/fs/cgroup/cpu.max", "100000 50000\n");
  CHECK(same(find_cpu_quota(root.path()), 100'000, 50'000));
}

TEST_CASE("cpu: quotas of the old kind are found, beside a new hierarchy without any",
          "[arch][cpu][unit]") {
  const fake_root root;
  root.file("/proc/self/cgroup", "2:cpu,cpuacct:/docker/x\n0::/docker/x\n");
  root.file("/proc/self/mountinfo", old_mounts);
  root.file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  root.file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  CHECK_FALSE(find_cpu_quota(root.path()).is_limited());
  root.file("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "600000\n");
  root.file("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
  root.file("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1\n");
  root.file("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
  CHECK(same(find_cpu_quota(root.path()), 600'000, 100'000));
}

TEST_CASE("cpu: a system that tells nothing has no quota", "[arch][cpu][unit]") {
  const fake_root root;
  CHECK_FALSE(find_cpu_quota(root.path()).is_limited());
}

TEST_CASE("cpu: the count follows the affinity mask", "[arch][cpu][unit]") {
  CHECK(usable_cpus() >= 1);
  CHECK(usable_cpus() <= affinity_cpus());
  const test::child_end end = test::in_child([] {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    ::sched_getaffinity(0, sizeof mask, &mask);
    for (std::size_t cpu = 0, found = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &mask) && found++ != 0) CPU_CLR(cpu, &mask);
    }
    ::sched_setaffinity(0, sizeof mask, &mask);
    std::_Exit(affinity_cpus() == 1 && usable_cpus() == 1 ? 3 : 4);
  });
  CHECK(end.status == 3);
}
