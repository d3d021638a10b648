# The Debian packages that CPack makes of a shared tree: what they say, hold, and are good for.
#
# usage: debian.py TREE FOLDER VERSION COMPILER SOURCE
#
# Makes them of the build tree TREE, unpacks both below FOLDER as an installation would, and builds
# and runs SOURCE with what is there.

import os
import pathlib
import shutil
import subprocess
import sys


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def check(holds, words):
    if not holds:
        sys.exit(f"debian: {words}")


def field(package, name):
    return run("dpkg-deb", "--field", package, name).strip()


def files(package):
    lines = run("dpkg-deb", "--contents", package).splitlines()
    return [line.split()[5] for line in lines if not line.startswith("d")]


def main():
    tree, folder, version, compiler, source = sys.argv[1:]
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run("cpack", "-G", "DEB", "-B", folder / "made", cwd=tree)
    packages = {field(path, "Package"): path for path in (folder / "made").glob("*.deb")}
    so_version = ".".join(version.split(".")[:2])
    runtime_name = f"libweft{so_version}"
    check(set(packages) == {runtime_name, "libweft-dev"}, f"the packages are {sorted(packages)}")
    runtime, development = packages[runtime_name], packages["libweft-dev"]

    for package, section in ((runtime, "libs"), (development, "libdevel")):
        name = field(package, "Package")
        check(field(package, "Version") == version, f"{name} has another version")
        check(field(package, "Section") == section, f"{name} is not in {section}")
        check("@" in field(package, "Maintainer"), f"{name} has no maintainer")
        check(field(package, "Description").count("\n") >= 2, f"{name} is not described")
        check(f"./usr/share/doc/{name}/copyright" in files(package), f"{name} has no copyright")
    check("libstdc++6" in field(runtime, "Depends"), "the library depends on nothing")
    check(f"{runtime_name} (= {version})" in field(development, "Depends"),
          "the development files do not depend on their library")

    libraries = [name for name in files(runtime) if "/doc/" not in name]
    check(all(f"libweft.so.{so_version}" in name for name in libraries) and len(libraries) == 2,
          f"the library's package holds {libraries}")
    held = files(development)
    for part in ("/include/weft/weft.hpp", "/weft.pc", "/weft-config.cmake", "/libweft.so"):
        check(any(name.endswith(part) for name in held), f"no {part} in the development files")
    check(not any(".so." in name for name in held), "the library is in the wrong package")

    root = folder / "root"
    for package in packages.values():
        run("dpkg-deb", "--extract", package, root)
    found = next(root.glob("usr/lib/**/weft.pc")).parent
    environment = {**os.environ, "PKG_CONFIG_PATH": str(found)}
    flags = run("pkg-config", "--cflags", "--libs", "weft", env=environment).split()
    program = folder / "consumer"
    run(compiler, "-std=c++20", source, "-o", program, *flags)
    environment["LD_LIBRARY_PATH"] = str(found.parent)
    print(run(program, env=environment), end="")


main()
