# Consumers that are watched by a tool, on the ordinary library: sanitizers, Valgrind, a profiler, a
# debugger.

# Flags, then pairs of a mistake that the program makes on request and the words of its report.
function(weft_add_sanitized_tests sanitizer)
  set(flags "-fsanitize=${sanitizer} -fno-omit-frame-pointer -O1 -g1")
  set(name "sanitized: ${sanitizer} finds nothing where nothing is")
  weft_add_program_test("${name}" ${WEFT_CLANG} ${folder} watched/shares.cpp "-DFLAGS=${flags}"
    -DPROBE=ON)
  set_tests_properties("${name}" PROPERTIES
    PASS_REGULAR_EXPRESSION "^shared [0-9]+\n*$" FAIL_REGULAR_EXPRESSION "Sanitizer")
  while(ARGN)
    list(POP_FRONT ARGN mistake report)
    set(name "sanitized: ${sanitizer} finds the ${mistake} in a fiber")
    weft_add_program_test("${name}" ${WEFT_CLANG} ${folder} watched/shares.cpp "-DFLAGS=${flags}"
      -DPROBE=ON -DARGUMENTS=${mistake})
    set_tests_properties("${name}" PROPERTIES
      PASS_REGULAR_EXPRESSION "${report}.*make_${mistake}")
  endwhile()
endfunction()

if(WEFT_CLANG)
  weft_add_sanitized_tests(thread race "data race")
  weft_add_sanitized_tests(address,undefined
    overflow "heap-buffer-overflow" leak "detected memory leaks")
  # Alone it knows no stack but a thread's, and reports nothing that was allocated on another one.
  weft_add_sanitized_tests(leak)
endif()

find_program(WEFT_VALGRIND valgrind)
find_program(WEFT_GDB gdb)
mark_as_advanced(WEFT_VALGRIND WEFT_GDB)

if(WEFT_VALGRIND)
  weft_add_program_test("watched: valgrind finds nothing where nothing is" ${CMAKE_CXX_COMPILER}
    ${folder} watched/shares.cpp "-DFLAGS=-O1" "-DRUNNER=${WEFT_VALGRIND} -q --error-exitcode=9")
  set_tests_properties("watched: valgrind finds nothing where nothing is" PROPERTIES
    PASS_REGULAR_EXPRESSION "shared [0-9]+"
    FAIL_REGULAR_EXPRESSION "==[0-9]+==;switching stacks;unhandled amd64-linux syscall")
endif()

weft_add_program_test("watched: a profiler walks the stacks of fibers" ${CMAKE_CXX_COMPILER}
  ${folder} watched/profiled.cpp "-DFLAGS=-O1 -fno-omit-frame-pointer")
set_tests_properties("watched: a profiler walks the stacks of fibers" PROPERTIES
  PASS_REGULAR_EXPRESSION "sampled: ")

if(WEFT_GDB)
  file(WRITE ${consumer_build}/backtrace.gdb
    "set debuginfod enabled off\nset pagination off\nbreak stop_here\nrun stop\nbacktrace\n")
  weft_add_program_test("watched: a debugger's backtrace ends where the fiber began"
    ${CMAKE_CXX_COMPILER} ${folder} watched/profiled.cpp "-DFLAGS=-O1 -g"
    "-DRUNNER=${WEFT_GDB} -batch -x ${consumer_build}/backtrace.gdb --args")
  set_tests_properties("watched: a debugger's backtrace ends where the fiber began" PROPERTIES
    PASS_REGULAR_EXPRESSION "#4 [^\n]*depth.*fiber_entry [^\n]*\n*$"
    FAIL_REGULAR_EXPRESSION "Backtrace stopped;corrupt"
    SKIP_REGULAR_EXPRESSION "[Oo]peration not permitted")
endif()
