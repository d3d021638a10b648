// One run for each schedule, and the report of the one that fails.
#include "weft/testing/explore_run.hpp"

#include <exception>
#include <thread>
#include <utility>

#include "weft/arch/report.hpp"
#include "weft/runtime.hpp"
#include "weft/sched/test_world.hpp"
#include "weft/testing/chooser.hpp"

namespace weft::inline WEFT_ABI::detail {

// A run of the body under one chooser; a friend of runtime.
struct explored_runtime {
  // Gives what failed; empty: nothing.
  static std::string run(void (*body)(void*), void* argument, std::uint64_t seed,
                         schedule_chooser& chooser, std::source_location where) {
    options o;
    o.seed = seed != 0 ? seed : ~std::uint64_t{0};
    o.on_exit = exit_policy::unwind;
    join_ref<void> state(new join_state<void>);
    {
      const runtime r(o, true, &chooser);
      const auto main = [=] { body(argument); };
      using Callable = joined_callable<void, std::decay_t<decltype(main)>>;
      fiber* first = make_fiber(Callable(state.share(), std::decay_t<decltype(main)>(main)), where,
                                {.home = r.scheduler_});
      name_main(*r.scheduler_, first);
      submit(first);
      static_cast<void>(state->wait(nullptr));
    }
    if (!chooser.deadlock().empty()) return chooser.deadlock();
    return state->error() != nullptr ? text_of(state->error()) : std::string();
  }

 private:
  static std::string text_of(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      const std::string text = e.what();
      return text.empty() ? "an exception without a text" : text;
    } catch (...) {
      std::string text;
      report out([](void* to, const char* words,
                    std::size_t size) { static_cast<std::string*>(to)->append(words, size); },
                 &text);
      describe_exception(error, out);
      out.flush();
      return text;
    }
  }
};

namespace {

struct world_count {
  world_count() noexcept { test_worlds.fetch_add(1, relaxed); }  // relaxed: the runs begin later
  ~world_count() { test_worlds.fetch_sub(1, relaxed); }          // relaxed: they have ended
  world_count(const world_count&) = delete;
  world_count& operator=(const world_count&) = delete;
};

void print(const exploration_end& end) {
  report out;
  out.text("weft: explore: seed ").number(end.failing_seed).text(" fails, after ");
  out.number(end.schedules_run).line(" schedules:").text("\t").indented(end.what).line();
  out.text(end.schedule);
}

exploration_end explore_here(void (*body)(void*), void* argument, const exploration& how,
                             bool is_quiet, std::source_location where) {
  const world_count counted;
  exploration_end end;
  for (unsigned i = 0; i < how.schedules; ++i) {
    const std::uint64_t seed = how.seed + i;
    schedule_chooser chooser(seed, how.preemptions, false);
    end.what = explored_runtime::run(body, argument, seed, chooser, where);
    ++end.schedules_run;
    if (end.what.empty()) continue;
    end.ok = false;
    end.failing_seed = seed;
    schedule_chooser again(seed, how.preemptions, true);
    const std::string what = explored_runtime::run(body, argument, seed, again, where);
    end.schedule = again.schedule();
    if (what.empty())
      end.schedule +=
          "This run of the same seed did not fail: the body depends on something "
          "besides the schedule.\n";
    if (!is_quiet) print(end);
    return end;
  }
  return end;
}

}  // namespace

exploration_end explore_runs(void (*body)(void*), void* argument, const exploration& how,
                             bool is_quiet, std::source_location where) {
  if (this_fiber_or_null() == nullptr) return explore_here(body, argument, how, is_quiet, where);
  exploration_end end;
  std::exception_ptr error;
  blocking([&] {
    std::thread([&] {
      try {
        end = explore_here(body, argument, how, is_quiet, where);
      } catch (...) {
        error = std::current_exception();
      }
    }).join();
  });
  if (error != nullptr) std::rethrow_exception(error);
  return end;
}

}  // namespace weft::inline WEFT_ABI::detail
