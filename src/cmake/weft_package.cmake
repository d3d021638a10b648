# Packages by CPack: `cpack -G DEB` in a build tree, or `-G TGZ`.
#
# A tree with WEFT_SHARED=ON gives two packages, the library and what is needed to build with it; a
# static one only the latter. Configure with CMAKE_INSTALL_PREFIX=/usr.

set(CPACK_PACKAGE_NAME weft)
set(CPACK_PACKAGE_VENDOR "weft")
# For a package that is given to others, name somebody who answers.
set(CPACK_PACKAGE_CONTACT "weft maintainers <maintainers@weft.invalid>" CACHE STRING
    "Maintainer that packages name")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGING_INSTALL_PREFIX "${CMAKE_INSTALL_PREFIX}")
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)

set(weft_so_version ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_COMPONENTS_ALL development)
if(WEFT_SHARED)
  list(PREPEND CPACK_COMPONENTS_ALL runtime)
endif()
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libweft${weft_so_version})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
"Stackful fibers on all cores, with channels, select, cancellation and timers.
This package has the shared library that programs are run with.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libweft-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
if(WEFT_SHARED)
  set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
      "libweft${weft_so_version} (= ${PROJECT_VERSION}), libstdc++-12-dev | libstdc++-dev")
else()
  set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
      "libboost-context-dev (>= 1.75), libfmt-dev (>= 8), libstdc++-12-dev | libstdc++-dev")
endif()
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
"Stackful fibers on all cores, with channels, select, cancellation and timers.
This package has what programs are built with: the headers, and the files for
CMake and pkg-config.")

# What Debian wants to find beside each package's files.
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} weft_component)
  set(weft_package ${CPACK_DEBIAN_${weft_component}_PACKAGE_NAME})
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright COMPONENT ${component}
          DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${weft_package})
endforeach()

include(CPack)
