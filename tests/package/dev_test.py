# What ./dev installs where something is missing, with package managers that only take notes.
#
# usage: dev_test.py PATH-OF-DEV
#
# Each case is a folder with a copy of the script and a PATH of its own: a few programs of the
# system, the stand-ins for what the case has, and a package manager that writes down its arguments
# and then puts there what was asked for.

import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

SYSTEM = ("awk", "cat", "dirname", "env", "getconf", "grep", "head", "mkdir", "printf", "sed", "sh",
          "sort", "tail", "touch", "chmod", "tr")

# Says of a library that it is there when its mark is; compiles everything else.
COMPILER = """#!/bin/sh
text=$(cat)
for mark in boost fmt openssl CLI catch2; do
  case $text in
    *"<$mark/"*) [ -e "$MARKS/$mark" ] || exit 1 ;;
  esac
done
exit 0
"""
CMAKE = """#!/bin/sh
[ "$1" != --version ] || echo "cmake version 3.25.1"
exit 0
"""
TOOL = """#!/bin/sh
echo "${0##*/} version 19.1.7"
exit 0
"""
# Takes notes, refuses if told to, and else puts each package's content in its place.
MANAGER = """#!/bin/sh
printf '%s\\n' "${0##*/} $*" >>"$NOTES"
if [ "$1" = --prefix ]; then echo "$PREFIX"; exit 0; fi
[ ! -e "$MARKS/refuses" ] || exit 1
[ ! -e "$MARKS/empty" ] || exit 0
cp_of() { cat "$KINDS/$1" >"$2"; chmod +x "$2"; }
for package; do
  case $package in
    g++ | gcc-c++) cp_of COMPILER "$BIN/c++" ;;
    cmake) cp_of CMAKE "$BIN/cmake" ;;
    ninja | ninja-build) cp_of TOOL "$BIN/ninja" ;;
    python | python3) cp_of TOOL "$BIN/python3" ;;
    boost | boost-devel | libboost-context-dev) touch "$MARKS/boost" ;;
    fmt | fmt-devel | libfmt-dev) touch "$MARKS/fmt" ;;
    openssl@3 | openssl-devel | libssl-dev) touch "$MARKS/openssl" ;;
    cli11 | cli11-devel | libcli11-dev) touch "$MARKS/CLI" ;;
    catch2 | catch-devel) touch "$MARKS/catch2" ;;
    spin) cp_of TOOL "$BIN/spin" ;;
    clang-19) cp_of TOOL "$BIN/clang++-19" ;;
    clang) cp_of TOOL "$BIN/clang++" ;;
    clang-format-19) cp_of TOOL "$BIN/clang-format-19" ;;
    clang-tools-extra) cp_of TOOL "$BIN/clang-format" ;;
    llvm)
      mkdir -p "$PREFIX/opt/llvm/bin"
      cp_of COMPILER "$PREFIX/opt/llvm/bin/clang++-19"
      cp_of TOOL "$PREFIX/opt/llvm/bin/clang-format" ;;
  esac
done
exit 0
"""
APT_CACHE = """#!/bin/sh
case "$*" in
  'show spin') [ -e "$MARKS/offers_spin" ] ;;
  'show g++') echo 'Version: 4:12.2.0-3' ;;
  'show libboost-context-dev') echo 'Version: 1.81.0.1' ;;
  *clang-format*) printf '%s - x\\n' clang-format-14 clang-format-19 clang-format-9 ;;
  *libclang-rt-19*) echo 'libclang-rt-19-dev - x' ;;
  *'^clang-['*) printf '%s - x\\n' clang-14 clang-19 clang-9 ;;
esac
"""
BUILD = ("compiler", "cmake", "ninja", "boost", "fmt", "openssl", "cli11")
PACKAGES = {
    "apt-get": "g++ cmake ninja-build libboost-context-dev libfmt-dev libssl-dev libcli11-dev",
    "dnf": "gcc-c++ cmake ninja-build boost-devel fmt-devel openssl-devel cli11-devel",
    "brew": "llvm cmake ninja boost fmt openssl@3 cli11",
}


class Place:
    """One case's machine."""

    def __init__(self, script, manager, user=0):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-dev-"))
        self.bin, self.marks = self.folder / "bin", self.folder / "marks"
        self.notes, self.prefix = self.folder / "notes", self.folder / "prefix"
        for folder in (self.bin, self.marks, self.prefix):
            folder.mkdir()
        for name in SYSTEM:
            found = shutil.which(name)
            if found:
                (self.bin / name).symlink_to(found)
        self.kinds = self.folder / "kinds"
        self.kinds.mkdir()
        for name, text in (("COMPILER", COMPILER), ("CMAKE", CMAKE), ("TOOL", TOOL)):
            self.write(self.kinds / name, text)
        if manager:
            self.write(self.bin / manager, MANAGER)
        if manager == "apt-get":
            self.write(self.bin / "apt-cache", APT_CACHE)
        self.write(self.bin / "id", f"#!/bin/sh\necho {user}\n")
        self.root = self.folder / "weft"
        (self.root / "build/release/examples").mkdir(parents=True)
        for name in ("include", "src", "tests", "examples", "bench"):
            (self.root / name).mkdir()
        shutil.copy(script, self.root / "dev")
        self.write(self.root / "build/release/examples/digest", "#!/bin/sh\necho digested\n")

    @staticmethod
    def write(path, text):
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    def has(self, *tools):
        """Puts tools there that are not to be missing."""
        for tool in tools:
            if tool in ("boost", "fmt", "openssl", "catch2"):
                (self.marks / tool).touch()
            elif tool == "cli11":
                (self.marks / "CLI").touch()
            else:
                text = {"compiler": COMPILER, "cmake": CMAKE}.get(tool, TOOL)
                self.write(self.bin / {"compiler": "c++"}.get(tool, tool), text)
        return self

    def has_sudo(self):
        self.write(self.bin / "sudo",
                   '#!/bin/sh\nprintf \'%s\\n\' "sudo $*" >>"$NOTES"\nexec "$@"\n')
        return self

    def run(self, *arguments):
        environment = {"PATH": str(self.bin), "HOME": str(self.folder), "MARKS": str(self.marks),
                       "NOTES": str(self.notes), "BIN": str(self.bin), "PREFIX": str(self.prefix),
                       "KINDS": str(self.kinds)}
        return subprocess.run([self.root / "dev", *arguments], env=environment, text=True,
                              capture_output=True, timeout=60)

    def noted(self):
        """What the package managers were asked for, but where they are."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [line for line in lines if not line.endswith("--prefix")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


def installation(manager, packages):
    """The notes of one installation by root."""
    if manager == "apt-get":
        return ["apt-get update",
                f"apt-get install -y --no-install-recommends --no-remove {packages}"]
    return [f"{manager} install {'-y ' if manager == 'dnf' else ''}{packages}"]


class Dev(unittest.TestCase):
    script = None

    def place(self, manager, **options):
        return Place(self.script, manager, **options)

    def test_installs_all_that_is_missing_and_says_so(self):
        for manager, packages in PACKAGES.items():
            with self.subTest(manager), self.place(manager) as place:
                done = place.run("demo")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("digested", done.stdout)
                self.assertIn(f"missing: {' '.join(BUILD)}\n", done.stderr)
                self.assertIn(f"installing with {manager}: {packages}", done.stderr)
                self.assertEqual([note.split() for note in place.noted()],
                                 [note.split() for note in installation(manager, packages)])

    def test_touches_no_manager_when_nothing_is_missing(self):
        for manager in PACKAGES:
            with self.subTest(manager), self.place(manager).has(*BUILD) as place:
                done = place.run("demo")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn("installing", done.stderr)
                self.assertEqual(place.noted(), [])

    def test_installs_nothing_that_is_there(self):
        for manager, package in (("apt-get", "libfmt-dev"), ("dnf", "fmt-devel"), ("brew", "fmt")):
            there = [tool for tool in BUILD if tool != "fmt"]
            with self.subTest(manager), self.place(manager).has(*there) as place:
                self.assertEqual(place.run("demo").returncode, 0)
                self.assertEqual([note.split() for note in place.noted()],
                                 [note.split() for note in installation(manager, package)])

    def test_takes_the_newest_tool_of_the_system(self):
        for manager, packages in (("apt-get", "clang-format-19"), ("dnf", "clang-tools-extra"),
                                  ("brew", "llvm")):
            with self.subTest(manager), self.place(manager) as place:
                done = place.run("format", "--check")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual([note.split() for note in place.noted()],
                                 [note.split() for note in installation(manager, packages)])

    def test_uses_sudo_where_it_is_not_root(self):
        for manager in ("apt-get", "dnf"):
            with self.subTest(manager), self.place(manager, user=1000).has_sudo() as place:
                self.assertEqual(place.run("demo").returncode, 0)
                by_sudo = [note for note in place.noted() if note.startswith("sudo ")]
                self.assertEqual(len(by_sudo), len(installation(manager, "")))
                self.assertIn(PACKAGES[manager], by_sudo[-1])
        with self.place("brew", user=1000).has_sudo() as place:
            self.assertEqual(place.run("demo").returncode, 0)
            self.assertNotIn("sudo", "".join(place.noted()))

    def test_says_what_to_do_without_sudo(self):
        for manager in ("apt-get", "dnf"):
            with self.subTest(manager), self.place(manager, user=1000) as place:
                done = place.run("demo")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("not root and no sudo; run as root: ", done.stderr)
                self.assertEqual(place.noted(), [])

    def test_says_what_is_missing_without_a_manager(self):
        with self.place(None) as place:
            done = place.run("demo")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("no apt-get, dnf or brew here; install by hand:", done.stderr)

    def test_stops_when_the_manager_refuses(self):
        for manager in PACKAGES:
            with self.subTest(manager), self.place(manager) as place:
                (place.marks / "refuses").touch()
                done = place.run("demo")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(f"{manager} ", done.stderr)
                self.assertRegex(done.stderr, "could not install|failed")
                self.assertNotIn("digested", done.stdout)

    def test_does_without_spin_where_there_is_none(self):
        tools = (*BUILD, "catch2", "python3", "ctest")
        for offered in (True, False):
            with self.subTest(offered=offered), self.place("apt-get").has(*tools) as place:
                if offered:
                    (place.marks / "offers_spin").touch()
                done = place.run("test")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual([note.split() for note in place.noted()],
                                 [note.split() for note in installation("apt-get", "spin")]
                                 if offered else [])
                self.assertEqual("no package for spin" in done.stderr, not offered)

    def test_notices_that_a_tool_is_still_missing(self):
        for manager in PACKAGES:
            with self.subTest(manager), self.place(manager) as place:
                (place.marks / "empty").touch()
                done = place.run("demo")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("compiler is still missing, or too old", done.stderr)


if __name__ == "__main__":
    Dev.script = sys.argv.pop(1)
    unittest.main()
