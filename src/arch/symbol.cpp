// Names for code addresses, from the symbol tables in the modules' own files.
//
// The dynamic linker knows only the exported functions; the file's full table, where it has not
// been stripped, knows those of the program too. It is read by system calls and a mapping, without
// memory of our own, so that a signal handler may ask.
#include <cxxabi.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string_view>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/fault.hpp"
#include "weft/arch/report.hpp"
#include "weft/arch/spinlock.hpp"

#if defined(__ELF__)
#include <elf.h>
#include <link.h>
#endif

namespace weft::inline WEFT_ABI::detail {
namespace {

template <std::size_t N>
void copy_cut(char (&to)[N], std::string_view from) noexcept {
  const std::size_t n = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), n);
  to[n] = '\0';
}

std::string_view last_part(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);
}

// Where an address comes from: the file, and what was added to its addresses when it was loaded.
struct module_place {
  const char* file = nullptr;  // null: none; empty: the program
  std::uintptr_t bias = 0;
};

#if defined(__GLIBC__) && defined(DLFO_STRUCT_HAS_EH_DBASE)
module_place find_module(void* pc) noexcept {
  dl_find_object found;
  if (::_dl_find_object(pc, &found) != 0) return {};
  return {found.dlfo_link_map->l_name, found.dlfo_link_map->l_addr};
}
#else
module_place find_module(void* pc) noexcept {
  Dl_info info;
  if (::dladdr(pc, &info) == 0 || info.dli_fname == nullptr) return {};
  auto bias = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
#if defined(__ELF__)
  if (static_cast<const ElfW(Ehdr)*>(info.dli_fbase)->e_type == ET_EXEC) bias = 0;
#endif
  return {info.dli_fname, bias};
}
#endif

#if defined(__ELF__)

// A file's contents for reading, for as long as this lives.
class mapped_file {
 public:
  explicit mapped_file(const char* path) noexcept {
    const int fd = may_fail("open", [&] { return ::open(path, O_RDONLY | O_CLOEXEC); });
    if (fd < 0) return;
    struct stat status{};
    if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
      const auto size = static_cast<std::size_t>(status.st_size);
      void* start = injected_fault("mmap") != 0
                        ? MAP_FAILED
                        : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
      if (start != MAP_FAILED) {
        start_ = static_cast<const char*>(start);
        size_ = size;
      }
    }
    ::close(fd);
  }
  ~mapped_file() {
    if (start_ != nullptr) ::munmap(const_cast<char*>(start_), size_);
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;

  // `count` items of T at `offset`; null when the file does not hold them, whatever it claims.
  template <class T>
  [[nodiscard]] const T* items(std::uint64_t offset, std::uint64_t count) const noexcept {
    if (offset > size_ || offset % alignof(T) != 0) return nullptr;
    if (count > (size_ - offset) / sizeof(T)) return nullptr;
    return reinterpret_cast<const T*>(start_ + offset);
  }

 private:
  const char* start_ = nullptr;
  std::size_t size_ = 0;
};

// True: the section that the symbol is defined in holds `address`.
bool is_in_section_of(const ElfW(Sym) & s, std::span<const ElfW(Shdr)> sections,
                      std::uintptr_t address) noexcept {
  if (s.st_shndx >= sections.size()) return false;
  const ElfW(Shdr)& section = sections[s.st_shndx];
  return address >= section.sh_addr && address - section.sh_addr < section.sh_size;
}

// The function that holds `address`, by the table `symbols`, one of `sections`.
void find_in_table(const mapped_file& file, const ElfW(Shdr) & symbols,
                   std::span<const ElfW(Shdr)> sections, std::uintptr_t address,
                   raw_symbol& out) noexcept {
  const ElfW(Shdr)& strings = sections[symbols.sh_link];
  const std::uint64_t count = symbols.sh_size / sizeof(ElfW(Sym));
  const auto* all = file.items<ElfW(Sym)>(symbols.sh_offset, count);
  const auto* text = file.items<char>(strings.sh_offset, strings.sh_size);
  if (all == nullptr || text == nullptr) return;
  const ElfW(Sym)* best = nullptr;
  for (std::uint64_t i = 0; i < count; ++i) {
    const ElfW(Sym)& s = all[i];
    // The type is in the low bits for both word sizes. Assembly may leave it, and the size, out.
    const unsigned type = s.st_info & 0xfU;
    if (type != STT_FUNC && !(type == STT_NOTYPE && s.st_size == 0)) continue;
    if (s.st_shndx == SHN_UNDEF || s.st_value > address || s.st_name >= strings.sh_size) continue;
    if (s.st_size != 0 ? address - s.st_value >= s.st_size
                       : !is_in_section_of(s, sections, address)) {
      continue;
    }
    if (best == nullptr || s.st_value > best->st_value ||
        (s.st_value == best->st_value && best->st_size == 0)) {
      best = &s;
    }
  }
  if (best == nullptr) return;
  const char* name = text + best->st_name;
  copy_cut(out.function, {name, ::strnlen(name, strings.sh_size - best->st_name)});
  out.offset = address - best->st_value;
}

// The full table if the file has one, else that of the exported functions.
void find_function(const char* path, std::uintptr_t address, raw_symbol& out) noexcept {
  const mapped_file file(path);
  const auto* header = file.items<ElfW(Ehdr)>(0, 1);
  if (header == nullptr || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return;
  if (header->e_shentsize != sizeof(ElfW(Shdr))) return;
  const auto* first = file.items<ElfW(Shdr)>(header->e_shoff, header->e_shnum);
  if (first == nullptr) return;
  const std::span<const ElfW(Shdr)> sections(first, header->e_shnum);
  for (const ElfW(Word) wanted : {ElfW(Word){SHT_SYMTAB}, ElfW(Word){SHT_DYNSYM}}) {
    for (const ElfW(Shdr) & s : sections) {
      if (s.sh_type != wanted || s.sh_link >= sections.size()) continue;
      find_in_table(file, s, sections, address, out);
      if (out.function[0] != '\0') return;
    }
  }
}

#else

void find_function(const char*, std::uintptr_t, raw_symbol&) noexcept {}

#endif

constexpr const char* own_program = "/proc/self/exe";

void name_module(const char* file, raw_symbol& out) noexcept {
  if (*file != '\0') return copy_cut(out.module, last_part(file));
  char path[512];
  const ssize_t n = ::readlink(own_program, path, sizeof(path));
  if (n > 0) {
    copy_cut(out.module, last_part({path, static_cast<std::size_t>(n)}));
  } else {
    copy_cut(out.module, "program");
  }
}

// A dump of many fibers asks for few addresses, many times each, and a look-up takes some 60 us.
struct memo {
  static constexpr std::size_t size = 256;  // 8 bits of the hash

  struct entry {
    void* pc = nullptr;
    raw_symbol found;
  };

  spinlock lock;
  entry entries[size];  // guarded by lock; by a hash of the address

  entry& at(std::uintptr_t address) noexcept {
    return entries[(address * 0x9e3779b97f4a7c15U) >> 56U];
  }
};

constinit memo known;

raw_symbol look_up(void* pc) noexcept {
  raw_symbol result;
  const int saved_errno = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(pc);
  const module_place place = find_module(pc);
  result.module_offset = address - place.bias;
  if (place.file != nullptr) {
    name_module(place.file, result);
    find_function(*place.file != '\0' ? place.file : own_program, result.module_offset, result);
  }
  errno = saved_errno;
  return result;
}

void print_frame(report& out, std::string_view function, std::string_view module,
                 std::uintptr_t place) {
  out.line(function.empty() ? std::string_view("???") : function).text("\t");
  if (!module.empty()) out.text(module).text("+");
  out.hex(place).line();
}

}  // namespace

raw_symbol describe_raw(void* pc) noexcept {
  // The holder may be what this handler interrupted: never wait.
  const std::unique_lock<spinlock> held(known.lock, std::try_to_lock);
  if (!held.owns_lock()) return look_up(pc);
  memo::entry& e = known.at(reinterpret_cast<std::uintptr_t>(pc));
  // A module that was unloaded and another loaded in its place: not worth a check in a report.
  if (e.pc != pc) e = {pc, look_up(pc)};
  return e.found;
}

std::string demangle(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return status == 0 && text != nullptr ? text.get() : name;
}

symbol describe(void* pc) {
  const raw_symbol raw = describe_raw(pc);
  // Other names would be read as those of types: "f" as float.
  const bool is_mangled = std::string_view(raw.function).starts_with("_Z");
  return {is_mangled ? demangle(raw.function) : raw.function, raw.offset, raw.module,
          raw.module_offset};
}

void print_stack(report& out, void* const* pcs, std::size_t count, names how) {
  for (std::size_t i = 0; i < count; ++i) {
    if (how == names::demangled) {
      try {
        const symbol s = describe(pcs[i]);
        print_frame(out, s.function, s.module, s.module_offset);
        continue;
      } catch (const std::bad_alloc&) {
        // The raw form needs no memory.
      }
    }
    const raw_symbol s = describe_raw(pcs[i]);
    print_frame(out, s.function, s.module, s.module_offset);
  }
}

}  // namespace weft::inline WEFT_ABI::detail
