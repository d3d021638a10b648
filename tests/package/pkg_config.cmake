# Builds SOURCE with what PKG_CONFIG says of the weft installed below FOLDER, and runs it.
#
# FLAGS     of the consumer's own; LAUNCHER of its compiler; both words with spaces between
# NEEDS     a library's static form is asked for: --static, else empty
# RUNNER    what the program is run by; ARGUMENTS of the program; both words with spaces between
# PROBE     ON: skipped where the compiler cannot link an empty program with FLAGS

set(ENV{PKG_CONFIG_PATH} "${FOLDER}/pkgconfig")
execute_process(COMMAND "${PKG_CONFIG}" --cflags weft
                OUTPUT_VARIABLE compile_flags OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${PKG_CONFIG}" --libs ${NEEDS} weft
                OUTPUT_VARIABLE link_flags OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
foreach(words IN ITEMS compile_flags link_flags FLAGS LAUNCHER RUNNER ARGUMENTS)
  separate_arguments(${words} UNIX_COMMAND "${${words}}")
endforeach()

if(PROBE)
  file(WRITE "${PROGRAM}.probe.cpp" "int main() {}\n")
  execute_process(COMMAND "${COMPILER}" ${FLAGS} "${PROGRAM}.probe.cpp" -o "${PROGRAM}.probe"
                  RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
  if(result EQUAL 0)
    execute_process(COMMAND "${PROGRAM}.probe" RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
  endif()
  if(NOT result EQUAL 0)
    message("skipped: ${COMPILER} makes no programs with ${FLAGS} here")
    return()
  endif()
endif()

execute_process(COMMAND ${LAUNCHER} "${COMPILER}" -std=c++20 ${FLAGS} ${compile_flags}
                        -c "${SOURCE}" -o "${PROGRAM}.o" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${COMPILER}" ${FLAGS} "${PROGRAM}.o" -o "${PROGRAM}" ${link_flags}
                        "-Wl,-rpath,${FOLDER}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${RUNNER} "${PROGRAM}" ${ARGUMENTS} RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${result}")
endif()
