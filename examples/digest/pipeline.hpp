// The stages of digest and what flows between them.
//
//   source --files--> hash_files (a bounded number of them) --events--> collect
//      \---------------------------events------------------------------/
//
// Nothing is shared: the collector alone owns the results, the counts and the terminal.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>
#include <weft/weft.hpp>

namespace digest {

using sha256 = std::array<unsigned char, 32>;

// A file to be hashed; the number is its place in a list that is checked.
struct job {
  std::string path;
  std::size_t number = 0;
};

// What the collector is told: so many more files are on their way, one is hashed, one can't be.
struct found {
  std::size_t files;
};
struct hashed {
  job file;
  sha256 digest;
  std::uint64_t bytes;
};
struct failed {
  job file;
  std::string reason;
};
using event = std::variant<found, hashed, failed>;

// Starts fibers, counts them, and waits for those that it has started. It has to live until then.
class crew {
 public:
  template <class F>
  void go(F f) {
    started.fetch_add(1, std::memory_order_relaxed);
    members_.go(std::move(f));
  }
  void wait() { members_.wait(); }

  // One that is counted, and that nobody waits for.
  template <class F>
  static void go_alone(F f) {
    started.fetch_add(1, std::memory_order_relaxed);
    weft::go(std::move(f));
  }

  inline static std::atomic<std::size_t> started{1};  // the main fiber

 private:
  weft::wait_group members_;
};

// Where the stages meet. The collector receives events until they end, so sending one never has to
// be given up; sending a file does, once the context is done.
struct stages {
  weft::context ctx;
  weft::chan<job> files;
  weft::chan<event> events;
};

// Sends every file to `files`; returns when all are sent or the context is done.
using source = std::function<void(const stages&)>;

// The regular files of a tree. Symbolic links in it are followed only if asked for; one that leads
// in a circle is reported in either case.
source files_of_tree(std::string root, bool follow);

// Files whose names are known, numbered from 0.
source files_of_list(std::vector<std::string> paths);

// Hashes files until there are no more or the context is done.
void hash_files(const stages& to);

// What the collector has when all is done.
struct results {
  std::vector<hashed> files;
  std::vector<failed> failures;
  std::uint64_t bytes = 0;
  weft::clock::duration elapsed{};
  int signal = 0;  // what interrupted it
};

// Runs the pipeline with so many fibers that hash, says on stderr what fails, and shows how far it
// is. SIGINT and SIGTERM end it early; a second one ends the program.
results run_pipeline(const source& files, unsigned jobs);

}  // namespace digest
