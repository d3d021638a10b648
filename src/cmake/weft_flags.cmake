# Compiler flags of weft's own targets; nothing of it reaches a consumer.

if(WEFT_SANITIZE)
  string(REPLACE "," ";" weft_sanitizers "${WEFT_SANITIZE}")
  foreach(sanitizer IN LISTS weft_sanitizers)
    if(NOT sanitizer MATCHES "^(address|thread|undefined)$")
      message(FATAL_ERROR
              "WEFT_SANITIZE: `${sanitizer}` is none of address, thread and undefined")
    endif()
  endforeach()
  if("address" IN_LIST weft_sanitizers AND "thread" IN_LIST weft_sanitizers)
    message(FATAL_ERROR "WEFT_SANITIZE: address and thread exclude each other")
  endif()
  # For the whole directory: a library and a test that disagree about it do not link.
  add_compile_options(-fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WEFT_SANITIZE})
endif()

# For the whole directory too: tests look at how a suspended fiber stands.
if(WEFT_PORTABLE_SWITCH)
  add_compile_definitions(WEFT_PORTABLE_SWITCH=1)
endif()

# Warnings are errors in what is built as part of weft's own project. As a subproject and in
# packages they stay off: a newer compiler than ours must not break somebody's build.
function(weft_own_target target)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE
    -fno-omit-frame-pointer  # stacks in signal context and in fatal reports are walked by them
    -fno-plt
    # Code that may go into a shared library is inlined all the same; clang's default.
    $<$<CXX_COMPILER_ID:GNU>:-fno-semantic-interposition>)
  if(WEFT_WARNINGS)
    target_compile_options(${target} PRIVATE
      -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
      $<$<AND:$<CXX_COMPILER_ID:Clang,AppleClang>,$<NOT:$<BOOL:${APPLE}>>>:-Wthread-safety>)
  endif()
endfunction()
