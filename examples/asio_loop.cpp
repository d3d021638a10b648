// Fibers inside a Boost.Asio io_context: one thread runs both, and each side wakes the other.
#include <boost/asio.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <weft/weft.hpp>

namespace asio = boost::asio;
using namespace std::chrono_literals;

// [adapter]
// Gives the fibers of a runtime their turns whenever its descriptor says so.
class fibers_in_asio {
 public:
  fibers_in_asio(asio::io_context& io, weft::runtime& runtime)
      : runtime_(runtime), descriptor_(io, runtime.poll_fd()) {
    wait();
  }
  // The descriptor is the runtime's: Asio must not close it.
  ~fibers_in_asio() { descriptor_.release(); }

 private:
  void wait() {
    descriptor_.async_wait(asio::posix::descriptor_base::wait_read,
                           [this](const boost::system::error_code& error) {
                             if (error) return;  // the io_context ends
                             runtime_.run_once(weft::clock::now());
                             wait();
                           });
  }

  weft::runtime& runtime_;
  asio::posix::stream_descriptor descriptor_;
};
// [end]

int main() {
  asio::io_context io;
  weft::runtime runtime(weft::options{.own_threads = false});
  fibers_in_asio turns(io, runtime);

  // [talk]
  const auto ticks = weft::make_chan<int>(3);

  // Asio's side: a timer that sends to a channel.
  asio::steady_timer timer(io);
  int n = 0;
  const std::function<void()> tick = [&] {
    timer.expires_after(2ms);
    timer.async_wait([&](const boost::system::error_code& error) {
      if (error) return;
      if (ticks.try_send(++n) && n < 3) tick();
    });
  };
  tick();

  // weft's side: a fiber that receives, sleeps, and posts to Asio.
  runtime.go([&, ticks] {
    for (int i = 0; i < 3; ++i) {
      std::printf("tick %d\n", ticks.recv().value());
      weft::sleep_for(1ms);
    }
    asio::post(io, [&] {
      std::printf("stopped\n");
      io.stop();
    });
  });
  io.run();
  // [end]
  return 0;
}

// Output:
// tick 1
// tick 2
// tick 3
// stopped
