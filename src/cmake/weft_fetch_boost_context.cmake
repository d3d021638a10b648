# Boost.Context from its release archive, reduced to what weft uses: three assembly files and
# headers.
#
# Boost's own build would configure the dozen libraries below Boost.Context; its three functions
# need none of them. Limited to ELF and Mach-O on x86-64 and AArch64. The archive holds all of Boost
# (some 120 MB to download).

enable_language(ASM)

FetchContent_Declare(boost
  URL https://archives.boost.io/release/1.81.0/source/boost_1_81_0.tar.bz2
  URL_HASH SHA256=71feeed900fbccca04a3b4f2f84a7c217186f28a940ed8b7ed4725986baf99fa
  DOWNLOAD_EXTRACT_TIMESTAMP ON
  SOURCE_SUBDIR none)  # unpack only
FetchContent_MakeAvailable(boost)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(weft_boost_machine x86_64_sysv)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(weft_boost_machine arm64_aapcs)
else()
  message(FATAL_ERROR "weft: WEFT_FETCH_DEPS has no Boost.Context for ${CMAKE_SYSTEM_PROCESSOR}; "
                      "install it from the system")
endif()
set(weft_boost_format elf)
if(APPLE)
  set(weft_boost_format macho)
endif()

# The release archive has one tree of headers, the repository and some distributions' source
# packages one for each library.
add_library(weft_boost_headers INTERFACE)
if(EXISTS "${boost_SOURCE_DIR}/boost/version.hpp")
  target_include_directories(weft_boost_headers SYSTEM INTERFACE "${boost_SOURCE_DIR}")
else()
  foreach(library IN ITEMS assert config context core predef)
    target_include_directories(weft_boost_headers SYSTEM INTERFACE
      "${boost_SOURCE_DIR}/libs/${library}/include")
  endforeach()
endif()

# An object library: its files become part of weft, and an installed weft needs no Boost.
add_library(weft_boost_context OBJECT)
foreach(function IN ITEMS make jump ontop)
  target_sources(weft_boost_context PRIVATE "${boost_SOURCE_DIR}/libs/context/src/asm/\
${function}_${weft_boost_machine}_${weft_boost_format}_gas.S")
endforeach()
target_link_libraries(weft_boost_context PUBLIC weft_boost_headers)
target_compile_definitions(weft_boost_headers INTERFACE BOOST_CONTEXT_STATIC_LINK
                                                        BOOST_ALL_NO_LIB)
set_target_properties(weft_boost_context PROPERTIES POSITION_INDEPENDENT_CODE ON)
