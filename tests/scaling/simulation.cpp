// The turns of the simulated threads, their sleeps, and what is counted between two moments.
#include "simulation.hpp"

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace simulation {

namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::transfer_t;

constexpr std::int64_t round_ns = 100;
constexpr std::size_t stack_bytes = std::size_t{512} * 1024;

struct thread {
  void* (*entry)(void*) noexcept = nullptr;
  void* argument = nullptr;
  std::unique_ptr<std::byte[]> stack;
  fcontext_t stands_at = nullptr;
  void* own_words = nullptr;
  const volatile std::uint32_t* waits_for = nullptr;
  std::int64_t deadline = never;
  bool has_ended = false;
};

struct world {
  std::vector<std::unique_ptr<thread>> threads;
  unsigned current = 0;
  bool runs = false;  // a thread has its turn
  fcontext_t scheduler = nullptr;
  std::int64_t now = 1'000'000'000;
  unsigned turn_left = 0;
  std::uint32_t random = 1;
  own_words words{[]() noexcept -> void* { return nullptr; }, [](void*) noexcept {}};

  std::uint64_t operations = 0;
  std::uint64_t first = 0;
  std::uint64_t number = 0;
  std::uint64_t wakes = 0;
  counts begin;
  counts result;
  bool is_counted = false;
};

world& the() {
  static world w;
  return w;
}

counts so_far() {
  counts c = accesses_so_far();
  c.operations = the().operations;
  c.wakes = the().wakes;
  return c;
}

// Turns differ in length, so that no two threads fall in step with one another.
unsigned turn_length(world& w) {
  w.random = w.random * 1'664'525U + 1'013'904'223U;
  return 20 + w.random % 64;
}

void give_turn(world& w, unsigned index) {
  thread& t = *w.threads[index];
  w.current = index;
  w.turn_left = turn_length(w);
  w.words.put_back(t.own_words);
  w.runs = true;
  const transfer_t back = boost::context::detail::jump_fcontext(t.stands_at, nullptr);
  w.runs = false;
  t.own_words = w.words.save();
  t.stands_at = back.fctx;
}

void end_turn() {
  world& w = the();
  const transfer_t back = boost::context::detail::jump_fcontext(w.scheduler, nullptr);
  w.scheduler = back.fctx;
}

void first_turn(transfer_t from) {
  world& w = the();
  w.scheduler = from.fctx;
  thread& self = *w.threads[w.current];
  self.entry(self.argument);
  self.has_ended = true;
  end_turn();
  std::abort();
}

bool may_run(const world& w, const thread& t) {
  return !t.has_ended && (t.waits_for == nullptr || *t.waits_for != 0 || t.deadline <= w.now);
}

// Nobody can run before this.
void jump_to_first_deadline(world& w) {
  std::int64_t first = never;
  for (const auto& t : w.threads)
    if (!t->has_ended && t->deadline < first) first = t->deadline;
  if (first == never) {
    std::fprintf(stderr, "simulation: all threads sleep for ever\n");
    std::abort();
  }
  w.now = first;
}

}  // namespace

void run(void (*body)(void*), void* argument) {
  struct call {
    void (*body)(void*);
    void* argument;
  } first{body, argument};
  world& w = the();
  start(
      [](void* of) noexcept -> void* {
        auto* c = static_cast<call*>(of);
        c->body(c->argument);
        return nullptr;
      },
      &first);
  while (!w.threads.front()->has_ended) {
    bool anybody = false;
    // Those that start meanwhile have their turn in this round.
    for (unsigned i = 0; i < w.threads.size(); ++i) {
      if (!may_run(w, *w.threads[i])) continue;
      anybody = true;
      give_turn(w, i);
    }
    w.now += round_ns;
    if (!anybody) jump_to_first_deadline(w);
  }
}

void operation_done() noexcept {
  world& w = the();
  ++w.operations;
  if (w.operations == w.first) {
    forget_busiest_line();
    w.begin = so_far();
  } else if (w.operations == w.first + w.number) {
    const counts end = so_far();
    w.result = {w.number,
                end.locked - w.begin.locked,
                end.written - w.begin.written,
                end.fetched - w.begin.fetched,
                end.busiest,
                end.wakes - w.begin.wakes};
    w.is_counted = true;
  }
}

void count_operations(std::uint64_t first, std::uint64_t number) noexcept {
  the().first = first;
  the().number = number;
}

bool is_counted() noexcept { return the().is_counted; }
const counts& result() noexcept { return the().result; }

void pass_turn(unsigned n) noexcept {
  for (; n != 0; --n) end_turn();
}

std::int64_t now() noexcept { return the().now; }

unsigned start(void* (*entry)(void*) noexcept, void* argument) {
  world& w = the();
  if (w.threads.size() == most_threads) {
    std::fprintf(stderr, "simulation: more than %u threads\n", most_threads);
    std::abort();
  }
  auto t = std::make_unique<thread>();
  t->entry = entry;
  t->argument = argument;
  t->stack = std::make_unique<std::byte[]>(stack_bytes);
  t->stands_at =
      boost::context::detail::make_fcontext(t->stack.get() + stack_bytes, stack_bytes, first_turn);
  w.threads.push_back(std::move(t));
  return static_cast<unsigned>(w.threads.size() - 1);
}

void join(unsigned index) noexcept {
  while (!the().threads[index]->has_ended) end_turn();
}

bool wait_for(const volatile std::uint32_t& word, std::int64_t deadline) noexcept {
  world& w = the();
  if (word != 0) return true;
  if (deadline <= w.now) return false;
  thread& self = *w.threads[w.current];
  self.waits_for = &word;
  self.deadline = deadline;
  end_turn();
  self.waits_for = nullptr;
  self.deadline = never;
  return word != 0;
}

void wake(const volatile std::uint32_t& word) noexcept {
  for (const auto& t : the().threads)
    if (t->waits_for == &word) ++the().wakes;
}

void set_own_words(const own_words& words) noexcept { the().words = words; }

unsigned this_thread() noexcept { return the().current; }
bool is_running() noexcept { return the().runs; }

void access_done() noexcept {
  world& w = the();
  if (--w.turn_left == 0) end_turn();
}

}  // namespace simulation
