// weft_scaling PATH PROCS [lines]: one path of the library, taken again and again on each of PROCS
// simulated processors; prints what one operation costs, as lines `count<TAB>value`. `list` prints
// the paths; `lines` adds which lines were written most, and by which code, as addr2line takes it.
// tests/scaling/check.py compares the numbers of processors.
//
// Instrumented as the library is: what the public headers inline is counted too.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "simulation.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

using namespace std::chrono_literals;

namespace {

bool goes_on() noexcept { return !simulation::is_counted(); }

// `work(i)` is what fiber i does, on as many fibers as there are processors, until all is counted.
template <class Work>
void on_each(unsigned procs, Work work) {
  weft::wait_group group;
  for (unsigned i = 0; i < procs; ++i) group.go([work, i] { work(i); });
  group.wait();
}

// A fiber that starts, runs and ends; its starter goes on when it has.
void spawn(unsigned procs) {
  on_each(procs, [](unsigned) {
    while (goes_on()) {
      weft::go([] { simulation::operation_done(); });
      weft::yield();
    }
  });
}

// Two fibers for each processor hand a number to and fro; one hop.
void channel(unsigned procs) {
  on_each(procs, [](unsigned) {
    const auto there = weft::make_chan<int>();
    const auto back = weft::make_chan<int>();
    weft::wait_group other;
    other.go([&] {
      for (const int i : there) {
        simulation::operation_done();
        back.send(i);
      }
    });
    while (goes_on()) {
      there.send(1);
      static_cast<void>(back.recv());
      simulation::operation_done();
    }
    there.close();
    other.wait();
  });
}

// A buffered channel for each processor, filled and emptied by its one fiber; a send or receive.
void channel_buffered(unsigned procs) {
  on_each(procs, [](unsigned) {
    const auto ch = weft::make_chan<int>(16);
    while (goes_on()) {
      for (int i = 0; i < 16; ++i) {
        ch.send(i);
        simulation::operation_done();
      }
      for (int i = 0; i < 16; ++i) {
        static_cast<void>(ch.recv());
        simulation::operation_done();
      }
    }
  });
}

// One channel for all: as many senders as receivers as processors; one item.
void channel_shared(unsigned procs) {
  const auto ch = weft::make_chan<int>(128);
  weft::wait_group receivers;
  for (unsigned i = 0; i < procs; ++i) {
    receivers.go([&ch] {
      for ([[maybe_unused]] const int item : ch) simulation::operation_done();
    });
  }
  on_each(procs, [&ch](unsigned) {
    while (goes_on()) ch.send(1);
  });
  ch.close();
  receivers.wait();
}

// All fibers are made by one, and compute for a while: the other processors steal them. One fiber
// that has moved; with one processor, one fiber.
void steal(unsigned procs) {
  while (goes_on()) {
    const unsigned made_on = simulation::this_thread();
    weft::wait_group group;
    for (unsigned i = 0; i < 8 * procs; ++i) {
      group.go([procs, made_on] {
        if (procs == 1 || simulation::this_thread() != made_on) simulation::operation_done();
        simulation::pass_turn(400);
      });
    }
    group.wait();
  }
}

// A timer that is set and stopped, among others that wait.
void timer(unsigned procs) {
  on_each(procs, [](unsigned) {
    const weft::timer other(2h);
    while (goes_on()) {
      weft::timer t(1h);
      t.stop();
      simulation::operation_done();
    }
  });
}

// Eight fibers for each processor sleep in a loop; one sleep.
void sleep_in_a_loop(unsigned procs) {
  on_each(8 * procs, [](unsigned i) {
    while (goes_on()) {
      weft::sleep_for(std::chrono::microseconds(20 + i % 13));
      simulation::operation_done();
    }
  });
}

// What must be found: an operation that writes a line of each processor.
void planted(unsigned procs) {
  struct alignas(64) own {
    int word = 0;
  };
  auto words = std::make_unique<own[]>(procs);
  on_each(procs, [procs, &words](unsigned) {
    while (goes_on()) {
      for (unsigned i = 0; i < procs; ++i) ++words[i].word;
      simulation::operation_done();
      weft::yield();
    }
  });
}

struct path {
  const char* name;
  void (*work)(unsigned procs);
  bool is_listed = true;
};

constexpr path paths[] = {
    {"spawn", spawn},
    {"channel", channel},
    {"channel_buffered", channel_buffered},
    {"channel_shared", channel_shared},
    {"steal", steal},
    {"timer", timer},
    {"sleep", sleep_in_a_loop},
    {"planted", planted, false},
};

void print(const char* what, std::uint64_t count) {
  std::printf("%s\t%.3f\n", what,
              static_cast<double>(count) / static_cast<double>(simulation::result().operations));
}

struct choice {
  void (*work)(unsigned procs);
  unsigned procs;
};

void run_chosen(void* of) {
  const auto& chosen = *static_cast<choice*>(of);
  weft::run([&chosen] { chosen.work(chosen.procs); }, weft::options{.procs = chosen.procs});
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "list") {
    for (const path& p : paths)
      if (p.is_listed) std::printf("%s\n", p.name);
    return 0;
  }
  const bool shows_lines = argc == 4 && std::string_view(argv[3]) == "lines";
  const int procs = argc == 3 || shows_lines ? std::atoi(argv[2]) : 0;
  for (const path& p : paths) {
    if (p.name != name || procs < 1 || procs > 128) continue;
    choice chosen{p.work, static_cast<unsigned>(procs)};
    // The first operations bring everything to its place, and fill the processors' caches.
    const std::uint64_t n = 250 * chosen.procs + 2'000;
    simulation::count_operations(10 * n, n);
    if (shows_lines) simulation::note_code();
    simulation::describe_system();
    simulation::run(run_chosen, &chosen);
    print("locked", simulation::result().locked);
    print("written", simulation::result().written);
    print("busiest", simulation::result().busiest);
    print("fetched", simulation::result().fetched);
    print("wakes", simulation::result().wakes);
    if (shows_lines) simulation::print_busiest_lines(n / 50);
    return 0;
  }
  std::fprintf(stderr, "usage: weft_scaling PATH PROCS [lines], or list; PROCS is 1 to 128\n");
  return 2;
}
