# Run by ctest: one entry for each test case of `program`, see weft_catch.cmake.

if(NOT EXISTS "${program}")
  # An entry without a program that can run fails: a suite that was not built is no success.
  add_test(${target}_not_built "${program}")
  set_tests_properties(${target}_not_built PROPERTIES LABELS "unit;stress;os")
  return()
endif()

# The entries of one label: those that `spec` selects.
function(weft_add_cases label spec timeout alone)
  set(script "")
  execute_process(COMMAND "${program}" "${spec}" --list-tests --verbosity quiet
                  OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(output MATCHES "^All available test cases:|^Matching test cases:")  # version 2
    set(none -w NoTests)
    execute_process(COMMAND "${program}" "${spec}" --list-test-names-only
                    OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE result)
  elseif(NOT result EQUAL 0)
    set(output "")
    add_test(${target}_lists_its_tests "${program}" "${spec}" --list-tests)
    set_tests_properties(${target}_lists_its_tests PROPERTIES LABELS "${label}")
  endif()
  # A list of CMake would break at semicolons and brackets of a name.
  while(output MATCHES "^([^\n]*)\n")
    set(name "${CMAKE_MATCH_1}")
    string(LENGTH "${name}" length)
    math(EXPR length "${length} + 1")
    string(SUBSTRING "${output}" ${length} -1 output)
    if(name STREQUAL "" OR name MATCHES "^No test cases matched")
      continue()
    endif()
    string(REGEX REPLACE "([][\\\\,])" "\\\\\\1" exact "${name}")
    string(APPEND script
"add_test([==[${name}]==] [==[${program}]==] [==[${exact}]==] ${none})
set_tests_properties([==[${name}]==] PROPERTIES LABELS ${label} TIMEOUT ${timeout}
  RUN_SERIAL ${alone} ENVIRONMENT [==[${environment}]==])
")
  endwhile()
  if(script)
    file(WRITE "${tests_file}.${label}" "${script}")
    include("${tests_file}.${label}")
  endif()
endfunction()

math(EXPR short "60 * ${timeout_factor}")
math(EXPR medium "300 * ${timeout_factor}")
math(EXPR extended "3600 * ${timeout_factor}")
set(plain "~[os]~[stress]~[long]~[.]")
if(default_label STREQUAL "stress")
  weft_add_cases(stress "~[os]~[long]~[.]" ${medium} TRUE)
else()
  weft_add_cases(${default_label} "${plain}" ${short} FALSE)
  weft_add_cases(stress "[stress]~[os]~[long]~[.]" ${medium} TRUE)
endif()
weft_add_cases(os "[os]~[long]~[.]" ${medium} TRUE)
weft_add_cases(long "[long]~[.]" ${extended} TRUE)
