# Catch2, version 3 or 2, and ctest entries for its test cases with labels from their tags.
#
# Catch2's own discovery knows neither labels from tags (version 2) nor a run without test cases as
# a failure; so the cases are listed here, when ctest starts.

if(NOT TARGET Catch2::Catch2)
  find_package(Catch2 3 QUIET CONFIG)
  if(NOT Catch2_FOUND)
    find_package(Catch2 2.13 QUIET CONFIG)
  endif()
  if(NOT Catch2_FOUND)
    if(NOT WEFT_FETCH_DEPS)
      weft_missing_dependency("Catch2 2.13 or later" "catch2")
    endif()
    include(weft_fetch_catch2)
  endif()
endif()

set(weft_discover_script "${CMAKE_CURRENT_LIST_DIR}/weft_discover_tests.cmake")

# `label` is the label of the cases that carry none of the tags [os], [stress] and [long].
function(weft_add_catch_tests target label)
  set(arguments "${CMAKE_CURRENT_BINARY_DIR}/${target}_arguments.cmake")
  set(include "${CMAKE_CURRENT_BINARY_DIR}/${target}_tests.cmake")
  file(GENERATE OUTPUT "${arguments}" CONTENT
"set(program [==[$<TARGET_FILE:${target}>]==])
set(target ${target})
set(default_label ${label})
set(timeout_factor ${weft_timeout_factor})
set(environment [==[${weft_test_environment}]==])
set(tests_file [==[${include}.list]==])
")
  file(WRITE "${include}"
"include([==[${arguments}]==])
include([==[${weft_discover_script}]==])
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${include}")
endfunction()
