// Worker pool: a fixed number of fibers for any number of jobs; the first failure stops them all.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <weft/weft.hpp>

namespace {

struct job {
  int number;
  std::string text;
};

std::size_t work(const job& j) {
  if (j.text.empty()) throw std::runtime_error("job " + std::to_string(j.number) + " is empty");
  return j.text.size();
}

// [pool]
// Returns when all jobs are done; throws what the first failing one threw, with the others ended.
std::size_t run_all(const weft::context& parent, const std::vector<job>& jobs, unsigned workers) {
  weft::group pool(parent);
  const auto queue = weft::make_chan<job>();
  std::vector<std::size_t> sums(workers);  // each worker has its own: nothing is shared
  for (std::size_t& sum : sums) {
    pool.go([&sum, queue](const weft::context& ctx) {
      while (const auto j = queue.recv(ctx)) sum += work(*j);
    });
  }
  std::error_code canceled;
  for (const job& j : jobs) {
    if (!queue.send(pool.context(), j, canceled)) break;  // a worker has failed
  }
  queue.close();
  pool.wait();
  std::size_t all = 0;
  for (const std::size_t sum : sums) all += sum;
  return all;
}
// [end]

}  // namespace

int main() {
  return weft::run([] {
    std::vector<job> jobs;
    for (int i = 0; i < 1000; ++i) jobs.push_back({i, "seven..."});
    std::printf("%zu letters\n", run_all({}, jobs, 4));
    jobs[500].text.clear();
    try {
      run_all({}, jobs, 4);
    } catch (const std::runtime_error& e) {
      std::printf("stopped: %s\n", e.what());
    }
    return 0;
  });
}

// Output:
// 8000 letters
// stopped: job 500 is empty
