// A program with an event loop of its own: fibers run on its thread, between its other events.
#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <weft/weft.hpp>

using namespace std::chrono_literals;

int main() {
  int input[2];
  if (::pipe(input) != 0) return 1;

  // [setup]
  weft::runtime runtime(weft::options{.own_threads = false});

  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [loop](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return ::epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
  };
  watch(runtime.poll_fd());  // readable while some fiber can run, or a timer is due
  watch(input[0]);           // the program's own business
  // [end]

  const auto keys = weft::make_chan<char>(10);
  bool done = false;
  runtime.go([&done, keys] {
    for (const char key : keys) {
      std::printf("a fiber got %c\n", key);
      weft::sleep_for(1ms);
    }
    done = true;
  });
  runtime.go([input] {
    for (const char key : {'a', 'b', 'c', '.'}) {
      weft::sleep_for(2ms);
      if (::write(input[1], &key, 1) < 0) return;
    }
  });

  // [loop]
  while (!done) {
    epoll_event events[8];
    const int n = ::epoll_wait(loop, events, 8, -1);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.fd == runtime.poll_fd()) {
        runtime.run_once(weft::clock::now());  // what is runnable now, without waiting
        continue;
      }
      char key = '.';
      if (::read(input[0], &key, 1) <= 0 || key == '.') {
        keys.close();
      } else if (!keys.try_send(key)) {  // wakes the fiber; this thread must not wait for it
        std::printf("too fast\n");
      }
    }
  }
  // [end]

  std::printf("done\n");
  ::close(loop);
  ::close(input[0]);
  ::close(input[1]);
  return 0;
}

// Output:
// a fiber got a
// a fiber got b
// a fiber got c
// done
