// Looks up functions, files and lines, in a thread with room enough.
#include "weft/arch/places.hpp"

#include <algorithm>
#include <new>
#include <string_view>
#include <utility>

#include "weft/arch/backtrace.hpp"
#include "weft/arch/report.hpp"
#include "weft/arch/spinlock.hpp"
#include "weft/arch/thread.hpp"

#if WEFT_HAS_LIBDW
#include <dlfcn.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <unistd.h>
#endif

namespace weft::inline WEFT_ABI::detail {

namespace {

using places_by_pc = std::unordered_map<void*, place>;

#if WEFT_HAS_LIBDW

// The functions of libdw that are used, found when they are first needed.
struct libdw {
  decltype(&::dwfl_begin) begin = nullptr;
  decltype(&::dwfl_end) end = nullptr;
  decltype(&::dwfl_linux_proc_report) report_process = nullptr;
  decltype(&::dwfl_report_end) report_end = nullptr;
  decltype(&::dwfl_linux_proc_find_elf) find_elf = nullptr;
  decltype(&::dwfl_build_id_find_debuginfo) find_debuginfo = nullptr;
  decltype(&::dwfl_addrmodule) module_of = nullptr;
  decltype(&::dwfl_module_getsrc) line_of = nullptr;
  decltype(&::dwfl_lineinfo) describe = nullptr;
  decltype(&::dwfl_module_nextcu) next_unit = nullptr;
  decltype(&::dwarf_haspc) has_pc = nullptr;
  decltype(&::dwarf_getsrc_die) line_in_unit = nullptr;
  decltype(&::dwarf_linesrc) file_of = nullptr;
  decltype(&::dwarf_lineno) number_of = nullptr;

  libdw() noexcept {
    void* library = ::dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    const bool complete =
        find(library, "dwfl_begin", begin) && find(library, "dwfl_end", end) &&
        find(library, "dwfl_linux_proc_report", report_process) &&
        find(library, "dwfl_report_end", report_end) &&
        find(library, "dwfl_linux_proc_find_elf", find_elf) &&
        find(library, "dwfl_build_id_find_debuginfo", find_debuginfo) &&
        find(library, "dwfl_addrmodule", module_of) &&
        find(library, "dwfl_module_getsrc", line_of) && find(library, "dwfl_lineinfo", describe) &&
        find(library, "dwfl_module_nextcu", next_unit) && find(library, "dwarf_haspc", has_pc) &&
        find(library, "dwarf_getsrc_die", line_in_unit) &&
        find(library, "dwarf_linesrc", file_of) && find(library, "dwarf_lineno", number_of);
    if (!complete) begin = nullptr;
  }
  template <class F>
  static bool find(void* library, const char* name, F& function) noexcept {
    function = reinterpret_cast<F>(::dlsym(library, name));
    return function != nullptr;
  }
};

// The debug information of the modules that are loaded now.
class line_reader {
 public:
  line_reader() noexcept {
    static const libdw library;
    if (library.begin == nullptr) return;
    callbacks_.find_elf = library.find_elf;
    callbacks_.find_debuginfo = library.find_debuginfo;
    Dwfl* all = library.begin(&callbacks_);
    if (all == nullptr) return;
    dw_ = &library;
    all_ = all;
    if (dw_->report_process(all_, ::getpid()) != 0 ||
        dw_->report_end(all_, nullptr, nullptr) != 0) {
      dw_->end(all_);
      all_ = nullptr;
    }
  }
  ~line_reader() {
    if (all_ != nullptr) dw_->end(all_);
  }
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;

  void find(void* pc, place& out) {
    if (all_ == nullptr) return;
    const auto address = static_cast<Dwarf_Addr>(reinterpret_cast<std::uintptr_t>(pc));
    Dwfl_Module* module = dw_->module_of(all_, address);
    if (module == nullptr) return;
    Dwfl_Line* line = dw_->line_of(module, address);
    if (line == nullptr) {
      search_units(module, address, out);
      return;
    }
    int number = 0;
    const char* file = dw_->describe(line, nullptr, &number, nullptr, nullptr, nullptr);
    if (file == nullptr) return;
    out.file = file;
    out.line = number;
  }

 private:
  // Clang writes no index of addresses: each compilation unit is asked.
  void search_units(Dwfl_Module* module, Dwarf_Addr address, place& out) {
    Dwarf_Addr bias = 0;
    for (Dwarf_Die* unit = nullptr; (unit = dw_->next_unit(module, unit, &bias)) != nullptr;) {
      if (dw_->has_pc(unit, address - bias) != 1) continue;
      Dwarf_Line* line = dw_->line_in_unit(unit, address - bias);
      const char* file = line == nullptr ? nullptr : dw_->file_of(line, nullptr, nullptr);
      int number = 0;
      if (file == nullptr || dw_->number_of(line, &number) != 0) continue;
      out.file = file;
      out.line = number;
      return;
    }
  }

  Dwfl_Callbacks callbacks_{};
  const libdw* dw_ = nullptr;
  Dwfl* all_ = nullptr;
};

#else

class line_reader {
 public:
  void find(void*, place&) noexcept {}
};

#endif

place describe_place(void* pc) {
  symbol s = describe(pc);
  return {std::move(s.function), {}, 0, std::move(s.module), s.module_offset};
}

// What the thread gets and gives.
struct errand {
  const std::vector<void*>& wanted;
  places_by_pc found;

  static void* run(void* self) noexcept {
    auto& e = *static_cast<errand*>(self);
    try {
      line_reader lines;
      for (void* pc : e.wanted) {
        place p = describe_place(pc);
        lines.find(pc, p);
        e.found.emplace(pc, std::move(p));
      }
    } catch (const std::bad_alloc&) {
      // The rest is printed raw.
    }
    return nullptr;
  }
};

// What the process has found so far. Not destroyed: a report may come at the very end.
class cache {
 public:
  // Moves what is known from `wanted` to `out`.
  void take_known(std::vector<void*>& wanted, places_by_pc& out) {
    const lock_guard held(lock_);
    const auto is_known = [&](void* pc) {
      const auto at = known_.find(pc);
      if (at == known_.end()) return false;
      out.emplace(pc, at->second);
      return true;
    };
    wanted.erase(std::remove_if(wanted.begin(), wanted.end(), is_known), wanted.end());
  }
  void keep(const places_by_pc& found) {
    const lock_guard held(lock_);
    if (known_.size() > most) known_.clear();
    known_.insert(found.begin(), found.end());
  }

 private:
  static constexpr std::size_t most = 100'000;

  spinlock lock_;
  places_by_pc known_;  // guarded by lock_
};

cache& known_places() {
  static cache& all = *new cache;
  return all;
}

void print_place(report& out, const place& p) {
  out.line(p.function.empty() ? std::string_view("???") : p.function).text("\t");
  if (!p.file.empty()) out.text(p.file).text(":").number(p.line).text(" ");
  if (!p.module.empty()) out.text(p.module).text("+");
  out.hex(p.module_offset).line();
}

#define WEFT_TEXT_OF(x) WEFT_TEXT(x)
#define WEFT_TEXT(x) #x

// By its mangled name, so that no memory is needed.
bool is_inner(std::string_view name) noexcept {
  constexpr std::string_view abi = WEFT_TEXT_OF(WEFT_ABI);
  if (!name.starts_with("_Z")) return false;
  name.remove_prefix(std::min(name.find('N'), name.size()));  // past the Z of local entities
  if (name.starts_with("N")) name.remove_prefix(1);
  if (name.starts_with("K")) name.remove_prefix(1);
  if (!name.starts_with("4weft")) return false;
  name.remove_prefix(5);
  const std::size_t at = name.find(abi);
  if (at == std::string_view::npos || at > 2) return false;
  name.remove_prefix(at + abi.size());
  // What calls a user's callable is named after it, and often has it inlined.
  return (name.starts_with("6detail") || name.starts_with("5debug")) &&
         !name.starts_with("6detail16callable_type_of");
}

bool is_throwing(std::string_view name) noexcept {
  for (const std::string_view runtime :
       {"_ZSt9terminatev", "_ZN10__cxxabiv1", "__cxa_", "_Unwind_", "__gxx_personality"}) {
    if (name.starts_with(runtime)) return true;
  }
  return false;
}

#undef WEFT_TEXT
#undef WEFT_TEXT_OF

}  // namespace

void place_table::add(void* const* pcs, std::size_t count) {
  wanted_.insert(wanted_.end(), pcs, pcs + count);
  // Stacks are mostly alike.
  if (wanted_.size() < 4096) return;
  std::sort(wanted_.begin(), wanted_.end());
  wanted_.erase(std::unique(wanted_.begin(), wanted_.end()), wanted_.end());
}

void place_table::look_up() {
  std::sort(wanted_.begin(), wanted_.end());
  wanted_.erase(std::unique(wanted_.begin(), wanted_.end()), wanted_.end());
  known_places().take_known(wanted_, found_);
  if (wanted_.empty()) return;
  errand e{wanted_, {}};
  thread_options options;
  options.name = "weft-places";
  options.block_signals = true;
  os_thread thread;
  if (thread.start(errand::run, &e, options) == std::errc{}) {
    thread.join();
    known_places().keep(e.found);
  }
  found_.merge(e.found);
  wanted_.clear();
}

const place* place_table::find(void* pc) const noexcept {
  const auto at = found_.find(pc);
  return at == found_.end() ? nullptr : &at->second;
}

void print_stack(report& out, void* const* pcs, std::size_t count, const place_table& places) {
  for (std::size_t i = 0; i < count; ++i) {
    if (const place* p = places.find(pcs[i])) {
      print_place(out, *p);
    } else {
      print_stack(out, pcs + i, 1, names::raw);
    }
  }
}

std::size_t count_inner_frames(void* const* pcs, std::size_t count) noexcept {
  // The C++ runtime's functions have names for some of its frames only.
  constexpr std::size_t most_of_throwing = 10;
  std::size_t n = 0;
  for (std::size_t i = 0; i < std::min(count, most_of_throwing); ++i)
    if (is_throwing(describe_raw(pcs[i]).function)) n = i + 1;
  while (n < count && is_inner(describe_raw(pcs[n]).function)) ++n;
  return n < count ? n : 0;
}

void print_own_stack(report& out) noexcept {
  constexpr std::size_t max_frames = 100;
  void* pcs[max_frames];
  const std::size_t all = capture(pcs, max_frames, 1);
  const std::size_t inner = count_inner_frames(pcs, all);
  void** first = pcs + inner;
  const std::size_t count = all - inner;
  try {
    place_table places;
    places.add(first, count);
    places.look_up();
    print_stack(out, first, count, places);
  } catch (const std::bad_alloc&) {
    print_stack(out, first, count, names::raw);
  }
}

}  // namespace weft::inline WEFT_ABI::detail
