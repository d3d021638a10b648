# What `cmake --install` gives: library, headers, package for find_package, and weft.pc.
#
# Two components: `runtime`, what a program needs that runs, and `development`, the rest.

include(CMakePackageConfigHelpers)

set(weft_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/weft)

set(weft_installed_targets weft)
if(TARGET weft_check)
  list(APPEND weft_installed_targets weft_check)
endif()
install(TARGETS ${weft_installed_targets} EXPORT weft-targets
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
  FILE_SET glue DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT weft-targets NAMESPACE weft:: DESTINATION ${weft_package_folder}
        COMPONENT development)

# A static library leaves its own dependencies to whoever links it.
set(weft_config_dependencies "")
if(NOT WEFT_SHARED)
  foreach(need IN LISTS weft_needs)
    string(APPEND weft_config_dependencies "find_dependency(${need})\n")
  endforeach()
endif()

configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/weft-config.cmake.in ${PROJECT_BINARY_DIR}/weft-config.cmake
  INSTALL_DESTINATION ${weft_package_folder} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weft-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/weft-config.cmake
  ${PROJECT_BINARY_DIR}/weft-config-version.cmake
  DESTINATION ${weft_package_folder} COMPONENT development)

# The package may be moved as a whole; so the prefix is told relative to the file.
file(RELATIVE_PATH weft_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" weft_pc_prefix "${weft_pc_prefix}")
# Who links a shared weft needs nothing of what it is made of.
if(WEFT_SHARED)
  set(weft_pc_requires "")
  set(weft_pc_libs "")
endif()
set(weft_pc_flags "")
if(WEFT_CHECK_LOCKS)
  set(weft_pc_flags " -DWEFT_CHECK_LOCKS=1")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/weft.pc.in ${PROJECT_BINARY_DIR}/weft.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)
