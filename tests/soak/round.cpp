// Rounds of the soak.
#include "soak/round.hpp"

#include <unistd.h>

#include <chrono>
#include <iterator>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "soak/acts.hpp"
#include "soak/ledger.hpp"
#include "soak/world.hpp"
#include "support/process.hpp"
#include "support/seed.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/time.hpp"

namespace soak {

namespace {

using std::chrono::microseconds;

enum class kind : unsigned char { deterministic, abandoned, run, two_runtimes, embedded };

struct plan {
  explicit plan(std::uint64_t s) : seed(s) {
    test::random r(seed, 6);
    constexpr kind kinds[] = {kind::deterministic, kind::deterministic, kind::abandoned,
                              kind::run,           kind::run,           kind::run,
                              kind::two_runtimes,  kind::embedded};
    what = kinds[r.below(std::size(kinds))];
    allowed.is_seeded = what == kind::deterministic;
    allowed.has_hogs = !allowed.is_seeded && r.below(3) == 0;
    allowed.is_cut_short = what != kind::abandoned && r.below(3) == 0;
    allowed.max_procs = static_cast<unsigned>(1 + r.below(6));
    settings.procs = allowed.is_seeded ? 1 : static_cast<unsigned>(1 + r.below(allowed.max_procs));
    settings.on_exit = what == kind::abandoned ? weft::exit_policy::abandon
                       : allowed.is_cut_short  ? weft::exit_policy::unwind
                                               : weft::exit_policy::wait;
    if (allowed.is_seeded) settings.seed = seed | 1U;
    alone = r.below(4) == 0;
    walks = 1 + r.below(test::sanitized ? 10 : 40);
    acts = r.below(6);
    body_seed = r.next();
  }

  std::uint64_t seed;
  kind what;
  rules allowed;
  weft::options settings;
  bool alone;
  std::uint64_t walks;
  std::uint64_t acts;
  std::uint64_t body_seed;
};

void start_act(world& w, std::uint64_t seed) {
  auto body = [&w, seed, alive = counted(w.book.bodies_alive)] {
    const counted run(w.book.runs_alive);
    act(w.book, w.allowed, seed);
  };
  if (w.allowed.is_cut_short) {
    weft::go(std::move(body));
  } else {
    w.walkers.go(std::move(body));
  }
}

// Starts the walks and acts, some of them in the other runtime, and waits for them or leaves them.
void lead(world& w, const plan& p, weft::runtime* other) {
  test::random r(p.body_seed, 7);
  for (std::uint64_t i = 0; i < p.walks; ++i) {
    const std::uint64_t seed = r.next();
    const auto start = [&w, seed] { w.start_walk(seed, 2); };
    if (other != nullptr && i % 2 == 0) {
      other->spawn(start).join();
    } else {
      start();
    }
  }
  for (std::uint64_t i = 0; i < p.acts; ++i) start_act(w, r.next());
  if (p.allowed.is_cut_short) return weft::sleep_for(microseconds(r.below(4'000)));
  w.walkers.wait();
  // Timers without a handle may still have to fire.
  while (w.book.calls_made != w.book.calls_ended) {
    weft::sleep_for(microseconds(100));
    w.book.step(300);
  }
}

// Plain threads that go in and out of a runtime.
void embed(world& w, const plan& p) {
  weft::runtime rt(p.settings);
  std::vector<std::jthread> threads;
  for (std::uint64_t t = 0; t < 2; ++t) {
    threads.emplace_back([&w, &rt, t, seed = p.body_seed] {
      test::random r(seed, 8 + t);
      for (std::uint64_t i = 1 + r.below(5); i != 0; --i) {
        const std::uint64_t mine = r.next();
        rt.block_on([&w, mine] { act(w.book, w.allowed, mine); });
        rt.block_on([&w, mine] { w.start_walk(mine, 1); });
      }
    });
  }
  rt.block_on([&] { lead(w, p, nullptr); });
  threads.clear();
}

void check_books(const world& w, ledger& book) {
  book.check(book.tokens_alive == 0, "a token was lost or is held by nobody");
  book.check(book.bodies_alive == 0, "the callable of a fiber was not destroyed");
  book.check(book.runs_alive == 0, "a fiber's frames were not unwound");
  if (w.allowed.is_cut_short) return;
  book.check(book.sent == book.received, "not as much was received as was sent");
  book.check(book.sent_sum == book.received_sum, "other values were received than were sent");
  book.check(book.calls_made == book.calls_ended, "a call of a timer did not come once");
}

// Seen by nobody; without it the compiler leaves the allocation out.
std::atomic<void*> leaked{nullptr};

void commit(fault f, ledger& book) {
  switch (f) {
    case fault::none:
      return;
    case fault::lost_token:
      return book.note_sent(1);
    case fault::thread:
      std::thread([] { ::pause(); }).detach();
      return;
    case fault::descriptor:
      static_cast<void>(::dup(STDERR_FILENO));
      return;
    case fault::memory:
      leaked = ::operator new(100'000);
      return;
    case fault::hang:
      static_cast<void>(weft::chan<int>().recv());
      return;
    case fault::chance:
      return book.step(static_cast<std::uint64_t>(weft::detail::monotonic_ns()));
  }
}

result play(const plan& p, std::atomic<std::uint64_t>& steps, fault f) {
  ledger book(steps);
  book.keeps_digest = p.allowed.is_seeded;
  // A fault that shows in the books is made where they are compared.
  const bool is_in_books = f == fault::lost_token;
  if (p.what == kind::abandoned) {
    never_ending waits;
    weft::run(
        [&] {
          waits.start();
          if (!is_in_books) commit(f, book);
          weft::sleep_for(microseconds(p.body_seed % 1'000));
        },
        p.settings);
    book.step(1);
    return {};
  }
  world w(book, p.allowed, p.body_seed);
  switch (p.what) {
    case kind::embedded:
      embed(w, p);
      break;
    case kind::two_runtimes: {
      weft::runtime other(p.settings);
      weft::run([&] { lead(w, p, &other); }, p.settings);
      break;
    }
    default:
      weft::run(
          [&] {
            if (!is_in_books) commit(f, book);
            lead(w, p, nullptr);
          },
          p.settings);
      break;
  }
  w.drain();
  if (is_in_books) commit(f, book);
  check_books(w, book);
  return {book.wrong.text(), p.allowed.is_seeded, book.digest};
}

}  // namespace

bool is_alone(std::uint64_t seed) { return plan(seed).alone; }

result play_round(std::uint64_t seed, std::atomic<std::uint64_t>& steps, fault f) {
  const plan p(seed);
  result first = play(p, steps, f);
  if (!first.is_deterministic || !first.wrong.empty()) return first;
  const result second = play(p, steps, f);
  if (!second.wrong.empty()) return second;
  if (first.digest != second.digest) first.wrong = "a deterministic round did not repeat";
  return first;
}

}  // namespace soak
