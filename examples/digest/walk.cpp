// The first stage: finds the regular files of a tree, with one fiber for each directory.
#include <algorithm>
#include <filesystem>
#include <system_error>

#include "pipeline.hpp"

namespace digest {

namespace {

namespace fs = std::filesystem;

// What one directory holds.
struct listing {
  std::vector<fs::path> files;
  std::vector<fs::path> directories;
  std::vector<failed> failures;

  void fail(const fs::path& path, const std::string& reason) {
    failed& f = failures.emplace_back();
    f.file.path = path.string();
    f.reason = reason;
  }
};

// True for a link to a directory on the way to it: following it would never end.
bool leads_back(const fs::path& link) {
  std::error_code ec;
  for (fs::path on_the_way = fs::absolute(link, ec); on_the_way.has_relative_path();) {
    on_the_way = on_the_way.parent_path();
    if (fs::equivalent(link, on_the_way, ec)) return true;
  }
  return false;
}

void add_target(const fs::path& path, fs::file_type type, listing& to) {
  if (type == fs::file_type::regular) to.files.push_back(path);
  if (type == fs::file_type::directory) to.directories.push_back(path);
}

void add_link(const fs::path& link, bool follow, listing& to) {
  std::error_code ec;
  const fs::file_type target = fs::status(link, ec).type();
  if (ec == std::errc::too_many_symbolic_link_levels) {
    to.fail(link, "symbolic link loop");
  } else if (target == fs::file_type::directory && leads_back(link)) {
    to.fail(link, "symbolic link loop: leads to a directory that it is in");
  } else if (follow && ec) {
    to.fail(link, ec.message());
  } else if (follow) {
    add_target(link, target, to);
  }
}

void add_entry(const fs::directory_entry& entry, bool follow, listing& to) {
  std::error_code ec;
  if (entry.is_symlink(ec)) {
    add_link(entry.path(), follow, to);
  } else if (entry.is_directory(ec)) {
    to.directories.push_back(entry.path());
  } else if (entry.is_regular_file(ec)) {
    to.files.push_back(entry.path());
  }
  if (ec) to.fail(entry.path(), ec.message());
}

listing list_directory(const fs::path& directory, bool follow) {
  listing found;
  std::error_code ec;
  for (fs::directory_iterator at(directory, ec), end; !ec && at != end; at.increment(ec)) {
    add_entry(*at, follow, found);
  }
  if (ec) found.fail(directory, ec.message());
  std::ranges::sort(found.files);
  return found;
}

// The root may be a file, or a link: it was asked for by name.
listing list_root(const fs::path& root) {
  listing found;
  std::error_code ec;
  const fs::file_type type = fs::status(root, ec).type();
  if (ec) {
    found.fail(root, ec.message());
  } else if (type == fs::file_type::regular || type == fs::file_type::directory) {
    add_target(root, type, found);
  } else {
    found.fail(root, "neither a directory nor a regular file");
  }
  return found;
}

class walk {
 public:
  walk(const stages& to, bool follow) : to_(to), follow_(follow) {}

  // Sends the files on, and gives each directory to a fiber of its own.
  void pass_on(listing entries) {
    if (!entries.files.empty()) to_.events.send(found{entries.files.size()});
    for (failed& f : entries.failures) to_.events.send(std::move(f));
    for (fs::path& directory : entries.directories) {
      walkers_.go([this, directory = std::move(directory)] { enter(directory); });
    }
    std::error_code canceled;
    for (const fs::path& file : entries.files) {
      if (!to_.files.send(to_.ctx, job{file.string()}, canceled)) return;
    }
  }
  void wait() { walkers_.wait(); }

 private:
  // Reading a directory may wait for the disk: other fibers get the processor meanwhile.
  void enter(const fs::path& directory) {
    if (to_.ctx.err()) return;
    pass_on(weft::blocking([&] { return list_directory(directory, follow_); }));
  }

  const stages& to_;
  bool follow_;
  crew walkers_;
};

}  // namespace

source files_of_tree(std::string root, bool follow) {
  return [root = std::move(root), follow](const stages& to) {
    walk walking(to, follow);
    walking.pass_on(weft::blocking([&] { return list_root(root); }));
    walking.wait();
  };
}

source files_of_list(std::vector<std::string> paths) {
  return [paths = std::move(paths)](const stages& to) {
    to.events.send(found{paths.size()});
    std::error_code canceled;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      if (!to.files.send(to.ctx, job{paths[i], i}, canceled)) return;
    }
  };
}

}  // namespace digest
