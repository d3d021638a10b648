# Where Boost.Context, fmt, Catch2 and Google Benchmark come from: the system first, and with
# WEFT_FETCH_DEPS=ON a pinned download of what the system lacks.
#
# FETCHCONTENT_SOURCE_DIR_BOOST, _FMT, _CATCH2 and _BENCHMARK name unpacked sources to use instead
# of a download.

include(FetchContent)

function(weft_missing_dependency name package)
  message(FATAL_ERROR
    "weft: ${name} was not found. Install it (Debian: ${package}), or configure with "
    "-DWEFT_FETCH_DEPS=ON to download it.")
endfunction()

# Sets what weft links, and what the installed package needs of the system for it:
#   weft_private_libraries   for target_link_libraries
#   weft_needs               find_dependency arguments, one list element for each package
#   weft_pc_requires, weft_pc_libs
#   weft_has_libdw           1: reports show files and lines, by libdw; it is loaded when needed
macro(weft_find_library_dependencies)
  find_package(Threads REQUIRED)
  set(weft_private_libraries Threads::Threads ${CMAKE_DL_LIBS})
  set(weft_needs Threads)
  set(weft_pc_requires "")
  set(weft_pc_libs "-pthread")

  if(NOT TARGET Boost::context)
    find_package(Boost 1.75 QUIET CONFIG COMPONENTS context)
  endif()
  if(TARGET Boost::context)
    list(APPEND weft_private_libraries Boost::context)
    list(APPEND weft_needs "Boost 1.75 CONFIG COMPONENTS context")
    string(PREPEND weft_pc_libs "-lboost_context ")
  elseif(WEFT_FETCH_DEPS)
    include(weft_fetch_boost_context)
    list(APPEND weft_private_libraries $<BUILD_INTERFACE:weft_boost_context>)
  else()
    weft_missing_dependency("Boost.Context 1.75 or later" "libboost-context1.81-dev")
  endif()

  if(NOT TARGET fmt::fmt)
    find_package(fmt 8 QUIET CONFIG)
  endif()
  if(TARGET fmt::fmt)
    list(APPEND weft_private_libraries fmt::fmt)
    list(APPEND weft_needs "fmt 8 CONFIG")
    set(weft_pc_requires "fmt")
  elseif(WEFT_FETCH_DEPS)
    include(weft_fetch_fmt)
    list(APPEND weft_private_libraries $<BUILD_INTERFACE:fmt::fmt-header-only>)
  else()
    weft_missing_dependency("fmt 8 or later" "libfmt-dev")
  endif()

  set(weft_has_libdw 0)
  if(WEFT_LIBDW)
    include(CheckIncludeFileCXX)
    check_include_file_cxx(elfutils/libdwfl.h WEFT_HAVE_LIBDWFL_H)
    if(WEFT_HAVE_LIBDWFL_H)
      set(weft_has_libdw 1)
    else()
      message(STATUS "weft: elfutils/libdwfl.h was not found (Debian: libdw-dev): "
                     "stacks in reports will have no files and lines")
    endif()
  endif()
endmacro()
