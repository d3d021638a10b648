// One runtime, and fibers of two shared objects on it that talk by a channel.
#include <dlfcn.h>

#include <cstdio>

#include "objects.hpp"

int main() {
  return weft::run([] {
    void* plugin = weft::blocking([] { return dlopen(COLLECTOR, RTLD_NOW | RTLD_LOCAL); });
    auto* collect_there = plugin == nullptr
                              ? nullptr
                              : reinterpret_cast<decltype(&collect)>(dlsym(plugin, "collect"));
    if (collect_there == nullptr) {
      std::printf("no plugin: %s\n", dlerror());
      return 1;
    }
    std::printf("weft %s: %d\n", WEFT_VERSION, collect_there(produce(7)) * 2);
    return 0;
  });
}
