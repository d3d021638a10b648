# Builds and installs a shared weft of SOURCE in FOLDER, and moves what was installed: FOLDER/moved.

foreach(words IN ITEMS OPTIONS)
  separate_arguments(${words} UNIX_COMMAND "${${words}}")
endforeach()
execute_process(COMMAND ${CMAKE_COMMAND} -S "${SOURCE}" -B "${FOLDER}/tree" -G "${GENERATOR}"
                        -DWEFT_SHARED=ON -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr
                        "-DCMAKE_CXX_COMPILER=${COMPILER}" ${OPTIONS}
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build "${FOLDER}/tree" OUTPUT_QUIET
                COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE_RECURSE "${FOLDER}/first" "${FOLDER}/moved")
execute_process(COMMAND ${CMAKE_COMMAND} --install "${FOLDER}/tree" --prefix "${FOLDER}/first"
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(RENAME "${FOLDER}/first" "${FOLDER}/moved")
file(GLOB_RECURSE texts "${FOLDER}/moved/*.cmake" "${FOLDER}/moved/*.pc")
foreach(text IN LISTS texts)
  # From a path's begin on: the source may lie in a folder of the root that is named as a part is.
  file(STRINGS "${text}" named REGEX "(^|[^A-Za-z0-9_./-])(${FOLDER}|${SOURCE})(/|\"|$)")
  if(named)
    message(FATAL_ERROR "${text} names a place where it was: ${named}")
  endif()
endforeach()
