# The recipes in packaging/, as far as their tools are here and run without a network.
#
# usage: recipes.py conan|vcpkg SOURCE FOLDER VERSION COMPILER LAUNCHER
#
# conan   makes the package with the system's libraries and runs its test package; where there is no
#         conan, the recipe is only parsed.
# vcpkg   compares the manifest with the tree; runs the port with functions of our own in the place
#         of vcpkg's, which do the same with one build; and lets vcpkg, where it is there, format
#         the manifest.

import ast
import json
import os
import pathlib
import shutil
import subprocess
import sys

# vcpkg's own functions, reduced to what the port needs of them.
STAND_INS = """
set(CURRENT_PORT_DIR "@PORT@")
set(CURRENT_PACKAGES_DIR "@FOLDER@/packages")
set(PORT weft)
function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "vcpkg_cmake_configure has no ${arg_UNPARSED_ARGUMENTS}")
  endif()
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${arg_SOURCE_PATH} -B "@FOLDER@/tree" -G Ninja
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DCMAKE_INSTALL_LIBDIR:STRING=lib
    "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}" "-DCMAKE_CXX_COMPILER=@COMPILER@"
    "-DCMAKE_CXX_COMPILER_LAUNCHER=@LAUNCHER@"
    -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0 ${arg_OPTIONS}
    ERROR_VARIABLE errors OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  if(errors)
    message(FATAL_ERROR "${errors}")
  endif()
endfunction()
function(vcpkg_cmake_install)
  execute_process(COMMAND ${CMAKE_COMMAND} --build "@FOLDER@/tree" --target install
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endfunction()
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "CONFIG_PATH;PACKAGE_NAME" "")
  file(MAKE_DIRECTORY "${CURRENT_PACKAGES_DIR}/share")
  file(RENAME "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}" "${CURRENT_PACKAGES_DIR}/share/${PORT}")
endfunction()
function(vcpkg_fixup_pkgconfig)
  if(NOT EXISTS "${CURRENT_PACKAGES_DIR}/lib/pkgconfig/weft.pc")
    message(FATAL_ERROR "no weft.pc")
  endif()
endfunction()
function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "COMMENT" "FILE_LIST")
  file(COPY_FILE "${arg_FILE_LIST}" "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright")
endfunction()
include("@PORT@/portfile.cmake")
"""


def run(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def check(holds, words):
    if not holds:
        sys.exit(f"recipes: {words}")


def conan(source, folder, version, compiler, _):
    recipe = source / "packaging/conan"
    for path in recipe.rglob("*.py"):
        ast.parse(path.read_text(), str(path))
    consumer = "test_package/consumer.cpp"
    check((recipe / consumer).read_text() == (source / "tests/package/consumer.cpp").read_text(),
          f"{consumer} is not the consumer of the other package tests")
    if shutil.which("conan") is None:
        print("skipped: no conan here; the recipe was only parsed")
        return
    environment = {**os.environ, "CONAN_HOME": str(folder / "home"), "CXX": compiler}
    run("conan", "profile", "detect", "--force", env=environment)
    # Its test package would be built where it stands, in the tree.
    shutil.copytree(recipe / "test_package", folder / "test_package", dirs_exist_ok=True)
    common = ("--no-remote", "-s", "compiler.cppstd=20", "-o", "weft/*:system_libraries=True")
    run("conan", "create", recipe, "--test-folder", "", *common,
        "-c", "tools.cmake.cmaketoolchain:extra_variables={'CMAKE_UNITY_BUILD': 'ON'}",
        env=environment)
    printed = run("conan", "test", folder / "test_package", f"weft/{version}", *common,
                  env=environment)
    check(f"weft {version}: 42" in printed, f"the test package did not run:\n{printed}")
    print("conan: the package was made and its test package ran")


def vcpkg(source, folder, version, compiler, launcher):
    port = source / "packaging/vcpkg/weft"
    manifest = json.loads((port / "vcpkg.json").read_text())
    check(manifest["version"] == version, f"the manifest says version {manifest['version']}")
    shutil.rmtree(folder / "packages", ignore_errors=True)
    script = STAND_INS
    for word, value in (("PORT", port), ("FOLDER", folder), ("COMPILER", compiler),
                        ("LAUNCHER", launcher)):
        script = script.replace(f"@{word}@", str(value))
    (folder / "port.cmake").write_text(script)
    run("cmake", "-P", folder / "port.cmake")
    made = {str(path.relative_to(folder / "packages"))
            for path in (folder / "packages").rglob("*") if path.is_file()}
    for part in ("include/weft/weft.hpp", "lib/libweft.a", "lib/pkgconfig/weft.pc",
                 "share/weft/weft-config.cmake", "share/weft/usage", "share/weft/copyright"):
        check(part in made, f"the port makes no {part}")
    check(not any(name.startswith("share/") and not name.startswith("share/weft/")
                  for name in made), "the port leaves files that are not its own")
    if shutil.which("vcpkg") is None:
        print("vcpkg: no vcpkg here; the port ran with functions in its functions' place")
        return
    copy = folder / "vcpkg.json"
    shutil.copy(port / "vcpkg.json", copy)
    run("vcpkg", "format-manifest", copy)
    print("vcpkg: the port ran, and vcpkg reads its manifest")


def main():
    recipe, source, folder, version, compiler, launcher = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    {"conan": conan, "vcpkg": vcpkg}[recipe](pathlib.Path(source), folder, version, compiler,
                                             launcher)


main()
