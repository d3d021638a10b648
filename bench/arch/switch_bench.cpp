// The context switch by itself: from one stack to another and back, without a scheduler.
//
// Not measured: who is chosen next, the park protocol, and caches that are cold: both stacks are
// warm, and so is the predictor of the one indirect jump.
// Noise: some 5 %, by the alignment of the two stacks.
#include <benchmark/benchmark.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "weft/arch/jump.hpp"
#include "weft/arch/switch.hpp"
#include "weft/arch/unwind.hpp"

using boost::context::detail::transfer_t;
using weft::detail::execution;
using weft::detail::thread_state;

namespace {

constexpr std::size_t stack_size = std::size_t{64} * 1024;

std::unique_ptr<std::byte[]> make_stack() { return std::make_unique<std::byte[]>(stack_size); }

// The side that is switched to, and what it counts.
struct two_sides {
  execution home;
  execution other;
  thread_state thread = weft::detail::thread_state_of_caller();
  std::int64_t visits = 0;
};
two_sides* both = nullptr;

void visit_for_ever(transfer_t t) {
  WEFT_MARK_STACK_BOTTOM();
  two_sides& s = *both;
  weft::detail::arrived(t, s.other, s.thread);
  for (;;) {
    ++s.visits;
    weft::detail::arrived(weft::detail::leave_for(s.other, s.home, s.thread), s.other, s.thread);
  }
}

// With all that a fiber takes along: errno, the state of exceptions, and the word that says where
// it stands.
void switch_of_fibers(benchmark::State& state) {
  const auto memory = make_stack();
  two_sides s;
  both = &s;
  weft::detail::describe_own_thread(s.home);
  weft::detail::prepare_entry(s.other, {memory.get(), memory.get() + stack_size}, visit_for_ever);
  std::int64_t switches = 0;
  for (auto _ : state) {
    weft::detail::arrived(weft::detail::leave_for(s.home, s.other, s.thread), s.home, s.thread);
    switches += 2;
    if (s.visits * 2 != switches) state.SkipWithError("a switch went elsewhere");
  }
  weft::detail::forget_entry(s.other);
  state.SetItemsProcessed(switches);
}

std::int64_t visits = 0;

// The two jumps that there may be, under one face.
struct own_jump {
  static void* prepare(std::byte* top, weft::detail::stack_entry entry) {
    return weft::detail::prepare_jump(top, stack_size, entry);
  }
  static transfer_t to(void* there) { return weft::detail::jump(there, nullptr); }
};
struct boost_jump {
  static void* prepare(std::byte* top, weft::detail::stack_entry entry) {
    return boost::context::detail::make_fcontext(top, stack_size, entry);
  }
  static transfer_t to(void* there) {
    return boost::context::detail::jump_fcontext(there, nullptr);
  }
};

template <class Jump>
void jump_back_for_ever(transfer_t t) {
  WEFT_MARK_STACK_BOTTOM();
  for (;;) {
    ++visits;
    t = Jump::to(t.fctx);
  }
}

// Registers only: the floor of what stands above.
template <class Jump>
void bare(benchmark::State& state) {
  const auto memory = make_stack();
  visits = 0;
  void* there = Jump::prepare(memory.get() + stack_size, jump_back_for_ever<Jump>);
  std::int64_t switches = 0;
  for (auto _ : state) {
    there = Jump::to(there).fctx;
    switches += 2;
    if (visits * 2 != switches) state.SkipWithError("a jump went elsewhere");
  }
  state.SetItemsProcessed(switches);
}

}  // namespace

BENCHMARK(switch_of_fibers)->Name("switch/there_and_back/fiber")->UseRealTime();
BENCHMARK(bare<own_jump>)->Name("switch/there_and_back/jump")->UseRealTime();
BENCHMARK(bare<boost_jump>)->Name("switch/there_and_back/boost_jump")->UseRealTime();
BENCHMARK_MAIN();
