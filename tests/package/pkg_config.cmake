# Builds SOURCE with what PKG_CONFIG says of the weft installed below FOLDER, and runs it.

set(ENV{PKG_CONFIG_PATH} "${FOLDER}/pkgconfig")
execute_process(COMMAND "${PKG_CONFIG}" --cflags --libs --static weft
                OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
execute_process(COMMAND "${COMPILER}" -std=c++20 "${SOURCE}" -o "${PROGRAM}" ${flags}
                        "-Wl,-rpath,${FOLDER}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${PROGRAM}" COMMAND_ERROR_IS_FATAL ANY)
