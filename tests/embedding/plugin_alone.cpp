// A host that knows nothing of weft: a plugin brings it, starts a runtime, and is unloaded.
#include <dlfcn.h>

#include <cstdio>
#include <thread>

#include "plugin.hpp"

int main(int, char** arguments) {
  for (int i = 0; i < 3; ++i) {
    void* handle = ::dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      std::fprintf(stderr, "plugin_alone: %s\n", ::dlerror());
      return 1;
    }
    const auto sum = reinterpret_cast<plugin::sum_alone>(::dlsym(handle, "sum_alone"));
    int here = 0;
    int there = 0;
    here = sum(50);
    std::thread([&] { there = sum(20); }).join();
    ::dlclose(handle);
    if (here != 1225 || there != 190) {
      std::fprintf(stderr, "plugin_alone: %d and %d, expected 1225 and 190\n", here, there);
      return 1;
    }
  }
  return 0;
}
