// A host loads a plugin that starts fibers in a runtime of the host, and unloads it after that one.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "plugin.hpp"
#include "weft/debug.hpp"
#include "weft/weft.hpp"

namespace {

void expect(bool is_so, const char* what) {
  if (is_so) return;
  std::fprintf(stderr, "plugin_host: not so: %s\n", what);
  std::exit(1);
}

class library {
 public:
  explicit library(const char* path) : handle_(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) std::fprintf(stderr, "plugin_host: %s\n", ::dlerror());
    expect(handle_ != nullptr, "the plugin is loaded");
  }
  ~library() { ::dlclose(handle_); }
  library(const library&) = delete;
  library& operator=(const library&) = delete;

  template <class F>
  F get(const char* name) const {
    return reinterpret_cast<F>(::dlsym(handle_, name));
  }

 private:
  void* handle_;
};

void dump_to_nowhere() {
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  weft::debug::dump(null);
  ::close(null);
}

void use(const library& plugin) {
  expect(plugin.get<plugin::sum_of>("sum_of")(100) == 4950, "the fibers add up");
  plugin.get<plugin::start_waiting>("start_waiting")();
  weft::yield();
  dump_to_nowhere();
  plugin.get<plugin::stop_waiting>("stop_waiting")();
}

}  // namespace

int main(int, char** arguments) {
  for (int i = 0; i < 3; ++i) {
    const library plugin(arguments[1]);
    weft::run([&] { use(plugin); });
    weft::runtime loop(weft::options{.own_threads = false});
    loop.block_on([&] { use(plugin); });
    loop.shutdown();
    const weft::runtime threads;
    use(plugin);  // from a plain thread: there is one runtime
  }
  // It knows nothing of code that is gone.
  weft::run([] {
    weft::spawn([] { weft::yield(); }).join();
    dump_to_nowhere();
  });
  return 0;
}
