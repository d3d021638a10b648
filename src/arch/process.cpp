// The fork handler, and the search for other copies of the library.
#include "weft/arch/process.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "weft/arch/report.hpp"

#if defined(__ELF__)
#include <elf.h>
#include <link.h>
#endif

// A note of name "weft" and type 1 whose contents are the version's text.
#if defined(__ELF__)
#if defined(__arm__) || defined(__aarch64__)
#define WEFT_NOTE "%note"
#else
#define WEFT_NOTE "@note"
#endif
asm(".pushsection .note.weft, \"a\", " WEFT_NOTE
    "\n\t.p2align 2\n\t"
    ".4byte 2f - 1f, 4f - 3f, 1\n"
    "1:\t.asciz \"weft\"\n"
    "2:\t.p2align 2\n"
    "3:\t.asciz \"" WEFT_VERSION
    "\"\n"
    "4:\t.p2align 2\n\t"
    ".popsection");
#undef WEFT_NOTE
#endif

namespace weft::inline WEFT_ABI::detail {

constinit atomic<bool> forked_child{false};

namespace {

constinit atomic<bool (*)() noexcept> ask_was_running{nullptr};

void after_fork() {
  bool (*was_running)() noexcept = ask_was_running.load(relaxed);  // relaxed: alone
  if (was_running()) forked_child.store(true, relaxed);            // relaxed: alone
}

#if defined(__ELF__)

struct copies {
  int count = 0;
  std::string_view version[2];
  const char* module[2] = {};
};

// The contents of weft's note in [start, start + size); empty: there is none.
std::string_view find_note(const char* start, std::size_t size) noexcept {
  constexpr char text[] = "weft";
  const std::string_view name{text, sizeof text};  // with its end
  const auto padded = [](std::size_t n) { return (n + 3) / 4 * 4; };
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, start, sizeof header);
    const std::size_t name_bytes = padded(header.n_namesz);
    const std::size_t bytes = sizeof header + name_bytes + padded(header.n_descsz);
    if (bytes > size) return {};
    const char* words = start + sizeof header;
    if (header.n_type == 1 && header.n_descsz != 0 &&
        std::string_view(words, header.n_namesz) == name) {
      return {words + name_bytes, header.n_descsz - 1};
    }
    start += bytes;
    size -= bytes;
  }
  return {};
}

int look_at_module(dl_phdr_info* module, std::size_t, void* argument) {
  auto& found = *static_cast<copies*>(argument);
  for (int i = 0; i < module->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = module->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* start = reinterpret_cast<const char*>(module->dlpi_addr + segment.p_vaddr);
    const std::string_view version = find_note(start, segment.p_memsz);
    if (version.empty()) continue;
    found.version[found.count] = version;
    found.module[found.count] = module->dlpi_name;
    if (++found.count == 2) return 1;
    break;
  }
  return 0;
}

void print_module(const char* name, report& out) {
  if (*name != '\0') {
    out.text(name);
    return;
  }
  char path[512];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  out.text(n > 0 ? std::string_view(path, static_cast<std::size_t>(n)) : "the program");
}

// Before main, or when the module is loaded.
const bool is_checked_at_load = (refuse_second_copy(), true);

#endif

}  // namespace

void watch_forks(bool (*was_running)() noexcept) noexcept {
  // relaxed: read by a child's only thread
  if (ask_was_running.exchange(was_running, relaxed) != nullptr) return;
  // Refused for want of memory: a child is then not told.
  static_cast<void>(::pthread_atfork(nullptr, nullptr, after_fork));
}

void refuse_second_copy() noexcept {
#if defined(__ELF__)
  copies found;
  ::dl_iterate_phdr(look_at_module, &found);
  if (found.count < 2 || !begin_fatal_report()) return;
  {
    report out;
    out.text("fatal error: two copies of weft in one process: version ").text(found.version[0]);
    out.text(" in ");
    print_module(found.module[0], out);
    out.text(" and version ").text(found.version[1]).text(" in ");
    print_module(found.module[1], out);
    out.line(
        ". Link all of them to one shared weft (WEFT_SHARED=ON), or only one of them to weft.");
  }
  end_process(2);
#endif
}

}  // namespace weft::inline WEFT_ABI::detail
