# Compiles SOURCE with COMPILER and demands that this fails with the text of its `// expect:` lines.

file(STRINGS "${SOURCE}" expectations REGEX "^ *// expect: ")
if(NOT expectations)
  message(FATAL_ERROR "${SOURCE}: no line `// expect: TEXT`")
endif()
execute_process(COMMAND "${COMPILER}" -std=c++20 -fsyntax-only "-I${INCLUDES}" "${SOURCE}"
                OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE}: compiles, and must not")
endif()
foreach(line IN LISTS expectations)
  string(REGEX REPLACE "^ *// expect: (.*[^ ]) *$" "\\1" text "${line}")
  string(FIND "${output}" "${text}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "${SOURCE}: fails as it must, but without the text\n  ${text}\n"
                        "The compiler said:\n${output}")
  endif()
endforeach()
