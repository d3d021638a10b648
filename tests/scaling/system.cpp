// In place of the files of the library that sleep, start a thread or read the clock (thread.cpp,
// note.cpp, clock.cpp, fence.cpp of arch, and netpoll): the same over simulated threads.
//
// Fences      as where membarrier works: the light side is free. Turns end anywhere, but what one
//             thread has stored the next one sees, so the heavy side has nothing to do.
#include <sched.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "simulation.hpp"
#include "weft/arch/clock.hpp"
#include "weft/arch/fence.hpp"
#include "weft/arch/note.hpp"
#include "weft/arch/switch.hpp"
#include "weft/arch/thread.hpp"
#include "weft/arch/tls.hpp"
#include "weft/netpoll/epoll.hpp"

// What the library calls between two looks at a word that another thread is to change.
extern "C" int sched_yield() noexcept {
  simulation::pass_turn();
  return 0;
}

namespace weft::inline WEFT_ABI::detail {

static_assert(sizeof(note) == sizeof(std::uint32_t));

namespace {

const volatile std::uint32_t& word_of(const note& n) noexcept {
  return *static_cast<const volatile std::uint32_t*>(static_cast<const void*>(&n));
}

}  // namespace

void note::wait() noexcept {
  while (word_.load(acquire) == 0) simulation::wait_for(word_of(*this), simulation::never);
}

bool note::wait_until(std::int64_t deadline) noexcept {
  return word_.load(acquire) != 0 || simulation::wait_for(word_of(*this), deadline);
}

void note::wake() noexcept {
  word_.store(1, release);
  simulation::wake(word_of(*this));
}

void note::clear() noexcept { word_.store(0, relaxed); }

std::int64_t monotonic_ns() noexcept { return simulation::now(); }

constinit atomic<bool> fence_needs_instruction{false};

void prepare_fences() noexcept {}
bool heavy_fence() noexcept { return true; }
bool fences_were_always_full() noexcept { return false; }

os_thread::os_thread(os_thread&& other) noexcept
    : handle_(other.handle_), started_(std::exchange(other.started_, false)) {}
os_thread& os_thread::operator=(os_thread&& other) noexcept {
  handle_ = other.handle_;
  started_ = std::exchange(other.started_, false);
  return *this;
}
os_thread::~os_thread() = default;

std::errc os_thread::start(entry run, void* argument, const thread_options&) noexcept {
  handle_ = simulation::start(run, argument);
  started_ = true;
  return std::errc{};
}

void os_thread::join() noexcept {
  simulation::join(static_cast<unsigned>(handle_));
  started_ = false;
}

void os_thread::detach() noexcept { started_ = false; }

void set_current_thread_name(const char*) noexcept {}
int current_thread_id() noexcept { return static_cast<int>(simulation::this_thread()); }
int process_thread_count() noexcept { return 0; }

namespace {

// Nobody waits for a descriptor.
class sleeper final : public poller {
 public:
  void wait(std::int64_t deadline) noexcept override {
    static_cast<void>(note_.wait_until(deadline));
    note_.clear();
  }
  void break_wait() noexcept override { note_.wake(); }
  [[nodiscard]] bool has_waiters() const noexcept override { return false; }
  [[nodiscard]] int descriptor() const noexcept override { return -1; }
  void enable_alarm() override {}
  void set_alarm(std::int64_t) noexcept override {}

 private:
  note note_;
};

}  // namespace

std::unique_ptr<poller> make_epoll_poller() { return std::make_unique<sleeper>(); }

}  // namespace weft::inline WEFT_ABI::detail

namespace simulation {

void describe_system() {
  set_own_words({[]() noexcept -> void* { return weft::detail::this_machine(); },
                 [](void* saved) noexcept {
                   weft::detail::set_this_machine(static_cast<weft::detail::machine_words*>(saved));
                 }});
  // errno, the state of exceptions and the machine, which the linker puts near one another.
  const weft::detail::thread_state state = weft::detail::thread_state_of_caller();
  const auto [first, last] = std::minmax(
      {static_cast<const void*>(state.exceptions), static_cast<const void*>(state.error_number),
       static_cast<const void*>(&weft_this_machine)},
      std::less<>());
  set_own_place(first, static_cast<const char*>(last) + sizeof(weft::detail::exception_globals));
}

}  // namespace simulation
