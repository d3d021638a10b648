// The runtime: starting it, fibers, joining, yielding, blocking calls and what belongs to a fiber.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iosfwd>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/error.hpp"
#include "weft/runtime/handle.hpp"
#include "weft/runtime/join.hpp"
#include "weft/sched/pin.hpp"
#include "weft/time/clock.hpp"

namespace weft::inline WEFT_ABI {

class context;

/// What becomes of the fibers that are alive when main has returned.
enum class exit_policy : unsigned char {
  abandon,  ///< they never run again; their stacks are freed, nothing is unwound
  wait,     ///< run returns when all have ended
  unwind,   ///< each is unwound where it is parked (destructors run), before run returns
};

/// What happens when no fiber can ever run again.
enum class deadlock_policy : unsigned char {
  abort,          ///< a report with every fiber, then exit status 2
  throw_in_main,  ///< the operation on which main is blocked throws deadlock_error
};

/// How a runtime is to be.
struct options {
  /// Processors: how many fibers run at once, 1 to 1024. 0: $WEFT_PROCS, else the CPUs this process
  /// may use (affinity and cgroup quota). A text in WEFT_PROCS that is no such number ends the
  /// process.
  unsigned procs = 0;
  /// Bytes of address space reserved for each fiber's stack, at most 1 GiB; rounded up to a power
  /// of two of 16 KiB or more. Pages are committed when touched. A sixteenth, at most 64 KiB, is
  /// guard.
  std::size_t stack_size = 256 * 1024;
  /// OS threads that run fibers, at least 2; needing more is fatal.
  unsigned max_machines = 10'000;
  /// What becomes of the fibers that are left at the end.
  exit_policy on_exit = exit_policy::abandon;
  /// What happens when all are blocked for ever; for run() only.
  deadlock_policy on_deadlock = deadlock_policy::abort;
  /// Non-zero: a deterministic run. The same seed gives the same order of events; time is virtual.
  /// `procs` 0 then means 1, more throws std::invalid_argument.
  std::uint64_t seed = 0;
  /// Calls inside blocking(f) at once, at least 1; further ones queue.
  unsigned max_blocking = 512;
  /// False: a runtime object without OS threads; its fibers run inside runtime::run_once only, on
  /// one processor (`procs` 0 then means 1, more throws std::invalid_argument, as does a seed).
  bool own_threads = true;
};

/// What a fiber may be given at its start.
struct fiber_options {
  std::string name;            ///< shown in dumps and reports
  std::size_t stack_size = 0;  ///< bytes, as options::stack_size; 0: the runtime's
};

namespace detail {

// Checks a callable for emptiness where its type can tell. A function named as such is none.
template <class F>
void check_callable(const F& f) {
  if constexpr (!std::is_function_v<F> && requires {
                  { f == nullptr } -> std::convertible_to<bool>;
                }) {
    if (f == nullptr) throw_usage_error("go of nil func value");
  }
}

template <class F>
fiber* make_fiber(F&& f, std::source_location where, const fiber_attributes& attributes) {
  using Callable = std::decay_t<F>;
  static_assert(std::is_invocable_v<Callable&>,
                "weft: a fiber's callable is called without arguments");
  static_assert(std::is_constructible_v<Callable, F&&>,
                "weft: the callable is copied or moved into the fiber: pass a movable-only one by "
                "std::move");
  check_callable(f);
  const new_fiber fresh = create_fiber(callable_type_of<Callable>, where, attributes);
  try {
    ::new (fresh.callable) Callable(std::forward<F>(f));
  } catch (...) {
    discard(fresh.f);
    throw;
  }
  return fresh.f;
}

inline fiber_attributes attributes_of(const fiber_options& o, scheduler* home = nullptr) {
  return {.name = &o.name, .stack_size = o.stack_size, .home = home};
}

template <class F>
using result_of = std::invoke_result_t<std::decay_t<F>&>;

}  // namespace detail

/// The result of a fiber that was started by spawn. Movable. One thread or fiber at a time uses it.
///
/// The destructor joins, unless it was joined, detached or moved from. An exception of the fiber
/// that nobody collects then ends the process as one of a detached fiber would; during unwinding it
/// is printed and dropped.
template <class R>
class [[nodiscard]] join_handle {
 public:
  /// Nothing to join.
  join_handle() noexcept = default;
  join_handle(join_handle&&) noexcept = default;
  /// Ends what it had before, as the destructor does.
  join_handle& operator=(join_handle&& other) noexcept {
    if (this != &other) {
      end();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~join_handle() { end(); }

  /// True until joined, detached or moved from.
  [[nodiscard]] bool joinable() const noexcept { return static_cast<bool>(state_); }

  /// Waits for the fiber's end and gives its result, or rethrows its exception.
  /// Blocks  until then.
  /// Errors  std::system_error with errc::fiber_exited when it left by exit_fiber; std::logic_error
  ///         when there is nothing to join.
  /// Order   the end of the fiber synchronizes with the return.
  R join() {
    check();
    static_cast<void>(state_->wait(nullptr));
    return take();
  }

  /// The same unless `ctx` is done first.
  /// Cancel  throws std::system_error with the context's error; the handle stays joinable.
  R join(const context& ctx) {
    check();
    if (!state_->wait(detail::source_of(ctx))) detail::throw_system_error(detail::error_of(ctx));
    return take();
  }

  /// Waits unless `ctx` is done first. True: the fiber has ended, and join() returns at once.
  /// False: `ec` is the context's error.
  bool wait(const context& ctx, std::error_code& ec) {
    check();
    ec.clear();
    if (state_->wait(detail::source_of(ctx))) return true;
    ec = detail::error_of(ctx);
    return false;
  }

  /// Lets the fiber run on by itself. Its result is dropped; an exception ends the process as one
  /// of any detached fiber does. Nothing happens when there is nothing to join.
  void detach() noexcept {
    if (state_) state_->detach();
    state_ = {};
  }

 private:
  template <class F>
  friend auto spawn_in(detail::scheduler* home, const fiber_options& o, F&& f,
                       std::source_location where);
  explicit join_handle(detail::join_ref<R> state) noexcept : state_(std::move(state)) {}

  void check() const {
    if (!state_) detail::throw_usage_error("weft::join_handle: nothing to join");
  }
  R take() {
    const detail::join_ref<R> state = std::move(state_);
    state_ = {};
    return state->take();
  }
  void end() noexcept {
    if (!state_) return;
    detail::join_at_end(*state_);
    state_ = {};
  }

  detail::join_ref<R> state_;
};

/// What spawn and runtime::spawn have in common; not for programs.
template <class F>
auto spawn_in(detail::scheduler* home, const fiber_options& o, F&& f, std::source_location where) {
  using R = detail::result_of<F>;
  detail::check_callable(f);
  detail::join_ref<R> state(new detail::join_state<R>);
  using Callable = detail::joined_callable<R, std::decay_t<F>>;
  detail::fiber* fresh =
      detail::make_fiber(Callable(state.share(), std::decay_t<F>(std::forward<F>(f))), where,
                         detail::attributes_of(o, home));
  detail::submit(fresh);
  return join_handle<R>(std::move(state));
}

/// Starts a fiber that runs f() on the current runtime, detached. F may be movable only. An
/// exception that leaves it ends the process with a report.
/// Blocks  never.
/// Errors  std::logic_error `go of nil func value` for an empty function object, and when called
///         from a plain thread while no runtime, or more than one, is running; what copying or
///         moving f throws; std::bad_alloc. Nothing is started then.
/// Threads any.
/// Order   everything before the call synchronizes with the start of f.
template <class F>
  requires std::invocable<std::decay_t<F>&>
void go(F&& f, std::source_location where = std::source_location::current()) {
  detail::submit(detail::make_fiber(std::forward<F>(f), where, {}));
}
/// The same with a name or a stack size.
/// Errors  as those of go(f); std::invalid_argument for a stack of more than 1 GiB.
template <class F>
  requires std::invocable<std::decay_t<F>&>
void go(const fiber_options& o, F&& f,
        std::source_location where = std::source_location::current()) {
  detail::submit(detail::make_fiber(std::forward<F>(f), where, detail::attributes_of(o)));
}

/// Starts a fiber that runs f() and gives a handle to its result. Otherwise as go.
template <class F>
  requires std::invocable<std::decay_t<F>&>
auto spawn(F&& f, std::source_location where = std::source_location::current()) {
  return spawn_in(nullptr, {}, std::forward<F>(f), where);
}
/// The same with a name or a stack size.
template <class F>
  requires std::invocable<std::decay_t<F>&>
auto spawn(const fiber_options& o, F&& f,
           std::source_location where = std::source_location::current()) {
  return spawn_in(nullptr, o, std::forward<F>(f), where);
}

/// Starts a runtime, runs main() as its first fiber, ends the runtime, and gives main's result or
/// rethrows its exception. A main that leaves by exit_fiber has no result: the other fibers go on,
/// run does not return, and when none can go on that is a deadlock.
/// Blocks  the calling OS thread.
/// Errors  those of the constructor of weft::runtime; std::invalid_argument for own_threads =
///         false; std::logic_error when called from a fiber. A deadlock is reported as
///         options.on_deadlock says.
template <class F>
  requires std::invocable<std::decay_t<F>&>
auto run(F&& main, const options& o = {},
         std::source_location where = std::source_location::current());

/// A runtime as an object, for a program that has its own main(). Fibers of several runtimes may
/// communicate.
class runtime {
 public:
  /// Starts one; its threads come with the first fiber.
  /// Errors  std::invalid_argument for options that are out of range or contradict each other,
  ///         std::system_error and std::bad_alloc when the system refuses threads, descriptors or
  ///         memory, std::logic_error for more than 256 runtimes at once.
  explicit runtime(const options& o = {}) : runtime(o, false) {}
  /// As shutdown().
  ~runtime() { shutdown(); }
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  /// As weft::go, on this runtime.
  /// Errors  as those of weft::go; std::logic_error after shutdown().
  /// Threads any.
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  void go(F&& f, std::source_location where = std::source_location::current()) {
    detail::submit(detail::make_fiber(std::forward<F>(f), where, {.home = running()}));
  }
  /// The same with a name or a stack size.
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  void go(const fiber_options& o, F&& f,
          std::source_location where = std::source_location::current()) {
    detail::submit(
        detail::make_fiber(std::forward<F>(f), where, detail::attributes_of(o, running())));
  }

  /// As weft::spawn, on this runtime.
  /// Errors  as those of go().
  /// Threads any.
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  auto spawn(F&& f, std::source_location where = std::source_location::current()) {
    return spawn_in(running(), {}, std::forward<F>(f), where);
  }

  /// Runs f() as a fiber, waits for its end, and gives its result or rethrows its exception.
  /// Blocks  the calling OS thread. Without own threads it runs the fibers meanwhile if it is the
  ///         one that called run_once last, or made the runtime before anybody did; on another
  ///         thread it waits for the thread that does.
  /// Errors  std::logic_error when called from a fiber: use spawn and join there; std::system_error
  ///         with errc::fiber_exited when f left by exit_fiber.
  /// Threads any that is no fiber's.
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  auto block_on(F&& f, std::source_location where = std::source_location::current()) {
    if (detail::this_fiber_or_null() != nullptr) detail::throw_not_from_fiber("block_on");
    detail::check_callable(f);
    using R = detail::result_of<F>;
    using Callable = detail::joined_callable<R, std::decay_t<F>>;
    detail::scheduler& s = *running();
    const detail::join_ref<R> state(new detail::join_state<R>);
    detail::submit(detail::make_fiber(Callable(state.share(), std::decay_t<F>(std::forward<F>(f))),
                                      where, {.home = &s}));
    detail::wait_for_result(s, *state);
    return state->take();
  }

  /// For a foreign event loop, of a runtime with own_threads = false: runs the fibers that are
  /// runnable, on the calling thread, until none is left or a millisecond has passed; it returns at
  /// a switch of fibers. Where none is runnable, waits for one, but not longer than `until`. True:
  /// something ran. The loop may move from thread to thread between two calls.
  /// Blocks  until something could run, or `until`; while another thread is inside, until that one
  ///         has left, or `until`. A fiber that does not wait, and blocking(f), hold it up.
  /// Errors  std::logic_error when the runtime has threads of its own, when called from a fiber,
  ///         and while a fiber has a thread_pin on another thread. No exception of a fiber leaves
  ///         it.
  /// Order   what ran in one call happens before what runs in the next, on whatever thread.
  bool run_once(clock::time_point until) {
    return detail::run_once(*running(), detail::to_ns(until));
  }

  /// A descriptor that a foreign event loop polls for input: it is readable as long as run_once has
  /// work, due timers included, and may be so once for nothing. Call run_once then; where the loop
  /// waits for edges, until it returns false. It stays the runtime's: do not read, close or modify
  /// it, and take it out of the loop before the runtime ends.
  /// Errors  std::logic_error when the runtime has threads of its own.
  [[nodiscard]] int poll_fd() const { return detail::poll_descriptor(*running()); }

  /// The runtime of the calling fiber; null on a plain thread.
  [[nodiscard]] static runtime* current() noexcept;

  /// Ends the runtime: the fibers as options.on_exit says, then the threads. Idempotent.
  /// Blocks  the calling OS thread: with exit_policy::wait until all fibers have ended, and for
  ///         those that make no runtime entry, and for blocking calls, up to ten seconds; then they
  ///         are named, and left with their threads and stacks. Without own threads the fibers that
  ///         have to run for it do so on the calling thread.
  /// Errors  std::logic_error when called from a fiber, and, without own threads, while another
  ///         thread is inside run_once or a fiber that has to run is pinned to another one.
  /// Threads one at a time, and no other call of this runtime's members meanwhile.
  void shutdown() {
    if (scheduler_ == nullptr) return;
    if (detail::this_fiber_or_null() != nullptr) detail::throw_not_from_fiber("shutdown");
    detail::check_may_end(*scheduler_);
    detail::end_scheduler(std::exchange(scheduler_, nullptr));
  }

 private:
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  friend auto run(F&& main, const options& o, std::source_location where);
  friend detail::explored_runtime;

  runtime(const options& o, bool is_of_run, detail::explorer* chooser = nullptr)
      : scheduler_(detail::start_scheduler(o, is_of_run, this, chooser)) {}

  detail::scheduler* running() const {
    if (scheduler_ == nullptr) detail::throw_usage_error("weft::runtime: it was shut down");
    return scheduler_;
  }

  detail::scheduler* scheduler_;
};

template <class F>
  requires std::invocable<std::decay_t<F>&>
auto run(F&& main, const options& o, std::source_location where) {
  using R = detail::result_of<F>;
  if (detail::this_fiber_or_null() != nullptr) detail::throw_not_from_fiber("run");
  detail::check_callable(main);
  detail::join_ref<R> state(new detail::join_state<R>);
  {
    const runtime r(o, true);
    using Callable = detail::joined_callable<R, std::decay_t<F>>;
    detail::fiber* first =
        detail::make_fiber(Callable(state.share(), std::decay_t<F>(std::forward<F>(main))), where,
                           {.home = r.scheduler_});
    detail::name_main(*r.scheduler_, first);
    detail::submit(first);
    detail::wait_for_main(*r.scheduler_, *state);
  }
  return state->take();
}

/// Lets all fibers run that are runnable on this processor, then goes on. On a plain thread, and
/// inside on_system_stack: yields the OS thread.
inline void yield() { detail::yield_now(); }

/// Ends the calling fiber: its stack is unwound, destructors run. A `catch (...)` that does not
/// rethrow only delays it to the fiber's next runtime entry.
/// Errors  std::logic_error on a plain thread.
[[noreturn]] inline void exit_fiber() { detail::exit_current(); }

/// Runs f(), which may need a deep stack, on the OS thread's own stack and gives its result or
/// rethrows its exception. On a plain thread, and inside another such call, it is called as it is.
/// Errors  those of f. An operation in f that would park throws std::logic_error there.
template <class F>
  requires std::invocable<F&>
auto on_system_stack(F&& f) -> std::invoke_result_t<F&> {
  using R = std::invoke_result_t<F&>;
  struct call_frame {
    F& f;
    detail::join_state<R> outcome;
  } frame{f, {}};
  detail::call_on_system_stack(
      [](void* argument) {
        auto& fr = *static_cast<call_frame*>(argument);
        fr.outcome.run(fr.f);
      },
      &frame);
  return frame.outcome.take();
}

namespace detail {
class blocking_section {
 public:
  blocking_section() { begin_blocking(); }
  ~blocking_section() { end_blocking(); }
  blocking_section(const blocking_section&) = delete;
  blocking_section& operator=(const blocking_section&) = delete;
};
}  // namespace detail

/// Runs f(), which may block the OS thread, and gives its result or rethrows its exception.
/// Meanwhile other fibers use the processor as soon as there is work for it. On a plain thread,
/// inside on_system_stack, in a seeded run and in a runtime without own threads it simply calls f.
///
/// It is for calls into the kernel. Where f parks all the same, it holds its place of
/// options.max_blocking meanwhile.
/// Blocks  before the call while options.max_blocking others are under way, and after it until
///         there is a processor.
template <class F>
  requires std::invocable<F&>
auto blocking(F&& f) -> std::invoke_result_t<F&> {
  const detail::blocking_section section;
  return std::forward<F>(f)();
}

/// While it lives, the calling fiber stays on its OS thread, which runs nothing else. Nests. Must
/// end in the fiber that made it. On a plain thread it does nothing. In a runtime without own
/// threads that thread alone may call run_once meanwhile, and runs the other fibers as well.
class thread_pin {
 public:
  /// Errors  std::logic_error when it is nested more than 255 times.
  thread_pin() { detail::pin_current(); }
  ~thread_pin() { detail::unpin_current(); }
  thread_pin(const thread_pin&) = delete;
  thread_pin& operator=(const thread_pin&) = delete;
};

/// The number of processors of the caller's runtime; on a plain thread, of the only one running.
/// Errors  std::logic_error from a plain thread while no runtime, or more than one, is running.
[[nodiscard]] unsigned procs();
/// Changes it, at any time; gives the old number. It has taken effect on return.
/// Blocks  until the processors beyond n are given up, and while another call changes the number.
/// Errors  std::logic_error for 0 or more than 1024; std::invalid_argument in a seeded run and in a
///         runtime without own threads, but for 1; std::bad_alloc, with the number unchanged; else
///         as procs().
/// Threads any.
unsigned set_procs(unsigned n);
/// User fibers of the caller's runtime that have not ended.
/// Errors  as procs().
/// Complexity  linear in the number of processors.
[[nodiscard]] std::size_t num_fibers();

/// Names a fiber; unique in the process and never reused. Default-constructed: none.
class fiber_id {
 public:
  constexpr fiber_id() noexcept = default;
  /// In the order of the numbers, which does not tell who is older.
  friend constexpr auto operator<=>(const fiber_id&, const fiber_id&) noexcept = default;
  /// The number that reports show; 0: none.
  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }

  /// Writes value().
  template <class Char, class Traits>
  friend std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>& out,
                                                      const fiber_id& id) {
    return out << id.value_;
  }

  /// Made from such a number.
  [[nodiscard]] static constexpr fiber_id from_value(std::uint64_t value) noexcept {
    fiber_id id;
    id.value_ = value;
    return id;
  }

 private:
  std::uint64_t value_ = 0;
};

/// value() in decimal.
[[nodiscard]] std::string to_string(fiber_id id);

/// About the calling fiber.
namespace this_fiber {
/// Its id; on a plain thread: none.
[[nodiscard]] fiber_id id() noexcept;
/// Its name; empty where it has none, and on a plain thread. Valid until the next set_name.
[[nodiscard]] std::string_view name() noexcept;
/// Names it in dumps and reports. Nothing on a plain thread.
/// Errors  std::bad_alloc.
void set_name(std::string name);
/// Gives it a label, which the fibers that it starts inherit; an empty value removes it. Labels are
/// for profiles: nothing shows them yet. Nothing on a plain thread.
/// Errors  std::bad_alloc.
void set_label(std::string key, std::string value);
}  // namespace this_fiber

/// A value for each fiber: made at its first use in a fiber, destroyed at the fiber's end. Usually
/// a global or static object. Must outlive its use, not the fibers.
template <class T>
class fiber_local {
 public:
  /// Values are default-constructed.
  fiber_local()
    requires std::default_initializable<T>
      : fiber_local([] { return T(); }) {}
  /// Values are made by init().
  template <class F>
    requires(std::invocable<const F&> && !std::same_as<std::remove_cvref_t<F>, fiber_local>)
  explicit fiber_local(F init)
      : init_(std::make_shared<const F>(std::move(init))),
        make_([](const void* f) -> void* { return new T((*static_cast<const F*>(f))()); }),
        key_(detail::new_local_key()) {}
  fiber_local(const fiber_local&) = delete;
  fiber_local& operator=(const fiber_local&) = delete;

  /// The calling fiber's value.
  /// Errors  std::logic_error on a plain thread; what making the value throws.
  /// Complexity  linear in the number of fiber_locals that the fiber has used.
  T& get() const {
    void* value = detail::local_value(key_, make_, init_.get(),
                                      [](void* v) noexcept { delete static_cast<T*>(v); });
    return *static_cast<T*>(value);
  }
  /// get().
  T& operator*() const { return get(); }
  /// The address of get().
  T* operator->() const { return &get(); }

 private:
  std::shared_ptr<const void> init_;
  void* (*make_)(const void* init);
  std::uint64_t key_;
};

}  // namespace weft::inline WEFT_ABI

template <>
struct std::hash<weft::fiber_id> {
  std::size_t operator()(const weft::fiber_id& id) const noexcept {
    return std::hash<std::uint64_t>()(id.value());
  }
};
