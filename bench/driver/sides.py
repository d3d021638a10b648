# The sides: how each is built, where its program is, and what it is made with.

import os
import re
import shutil
import subprocess
import sys


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def output_of(*command, cwd=None):
    """The first line that a command prints; empty if it cannot be run."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.splitlines()[0].strip() if done.stdout.strip() else ""


class BuildFailed(Exception):
    """A side that could be built was not."""


def run_build(what, *command, cwd=None):
    say(f"building {what}: " + " ".join(command))
    done = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise BuildFailed(f"{what}: {' '.join(command)} failed:\n{done.stdout}")


class Side:
    """A program with the suite's command line."""

    def __init__(self, name, sources, program):
        self.name, self.sources, self.program = name, sources, program
        self.made_of = [sources]

    def missing(self):
        """Why this side is skipped; None if it is not."""
        return None

    def build(self):
        """Builds the program."""

    def versions(self):
        """What it is made with."""
        return ""

    def names(self, which="list"):
        """The names that the program lists; none where it has no such list."""
        done = subprocess.run([self.program, which], capture_output=True, text=True, timeout=60)
        return done.stdout.split() if done.returncode == 0 else []

    def is_built(self):
        """The program is there and not older than what it is made of."""
        if not os.path.exists(self.program):
            return False
        made = os.path.getmtime(self.program)
        return all(os.path.getmtime(os.path.join(folder, name)) <= made
                   for sources in self.made_of for folder, _, names in os.walk(sources)
                   for name in names
                   if not name.endswith(".lock"))

    def run_build(self, *command):
        run_build(self.name, *command, cwd=self.sources)


class Weft(Side):
    """Built by ./dev bench, with the preset `bench`."""

    def __init__(self, root, build):
        super().__init__("weft", os.path.join(root, "bench", "suite"),
                         os.path.join(build, "bench", "weft_bench"))
        self.cache = os.path.join(build, "CMakeCache.txt")

    def missing(self):
        return None if os.path.exists(self.program) else f"{self.program} is not built: ./dev bench"

    def versions(self):
        try:
            with open(self.cache, encoding="utf-8") as file:
                compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", file.read(), re.MULTILINE)
        except OSError:
            return ""
        return output_of(compiler.group(1), "--version") if compiler else ""


class Go(Side):
    """Go's: foreign calls are left out where there is no C compiler."""

    def __init__(self, root, build):
        super().__init__("Go", os.path.join(root, "bench", "peers", "go"),
                         os.path.join(build, "peers", "bench_go"))

    def missing(self):
        return None if shutil.which("go") else "there is no go"

    def build(self):
        self.run_build("go", "build", "-o", self.program, ".")

    def versions(self):
        return output_of("go", "version")


class Tokio(Side):
    """Tokio's and kanal's, in Rust."""

    def __init__(self, root, build):
        self.target = os.path.join(build, "peers", "tokio")
        super().__init__("tokio", os.path.join(root, "bench", "peers", "tokio"),
                         os.path.join(self.target, "release", "bench_tokio"))

    def missing(self):
        return None if shutil.which("cargo") else "there is no cargo"

    def build(self):
        self.run_build("cargo", "build", "--quiet", "--release", "--target-dir", self.target)

    def versions(self):
        with open(os.path.join(self.sources, "Cargo.toml"), encoding="utf-8") as file:
            pins = re.findall(r'^(tokio|kanal) = .*?"=([0-9.]+)"', file.read(), re.MULTILINE)
        return ", ".join([output_of("rustc", "--version"),
                          *(f"{name} {version}" for name, version in pins)])


class BoostFiber(Side):
    """Boost.Fiber's, of the installed Boost."""

    LIBRARIES = ("-lboost_fiber", "-lboost_context", "-pthread")

    def __init__(self, root, build):
        super().__init__("Boost.Fiber", os.path.join(root, "bench", "peers", "boost_fiber"),
                         os.path.join(build, "peers", "bench_boost_fiber"))
        self.compiler = os.environ.get("CXX", "c++")
        self.bench = os.path.join(root, "bench")
        self.made_of.append(os.path.join(self.bench, "frame"))

    def missing(self):
        try:
            done = subprocess.run(
                [self.compiler, "-x", "c++", "-", "-o", os.devnull, *self.LIBRARIES],
                input="#include <boost/fiber/detail/config.hpp>\nint main() {}\n", text=True,
                capture_output=True)
        except OSError:
            return f"there is no {self.compiler}"
        return "there is no Boost.Fiber (Debian: libboost-fiber-dev)" if done.returncode else None

    def build(self):
        if self.is_built():
            return
        sources = sorted(os.path.join(folder, name) for folder in self.made_of
                         for name in os.listdir(folder) if name.endswith(".cpp"))
        self.run_build(self.compiler, "-std=c++20", "-O2", "-DNDEBUG", "-I", self.bench, *sources,
                       "-o", self.program, *self.LIBRARIES)

    def versions(self):
        done = subprocess.run([self.compiler, "-E", "-P", "-x", "c++", "-"], text=True,
                              input="#include <boost/version.hpp>\nBOOST_LIB_VERSION\n",
                              capture_output=True)
        version = re.search(r'"([0-9_]+)"\s*$', done.stdout)
        return "Boost " + version.group(1).replace("_", ".") if version else ""


class Given(Side):
    """A program that somebody names."""

    def __init__(self, name, program):
        super().__init__(name, os.path.dirname(program), program)


def all_sides(root, build, given):
    """weft first; `given` is {name in small letters: program}, of these sides or further ones."""
    sides = []
    for make in (Weft, Go, Tokio, BoostFiber):
        side = make(root, build)
        program = given.pop(side.name.lower(), None)
        sides.append(Given(side.name, program) if program else side)
    return sides + [Given(name, program) for name, program in given.items()]


def machine(root, sides):
    """{what: value} that a table is worth nothing without."""
    model, memory = "", ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
            model = model.group(1) if model else ""
        with open("/proc/meminfo", encoding="utf-8") as file:
            memory = f"{int(file.read().split()[1]) / 2**20:.0f} GiB"
    except OSError:
        pass
    facts = {
        "CPU": model or output_of("uname", "-p"),
        "cores": str(os.cpu_count()),
        "memory": memory,
        "kernel": output_of("uname", "-sr"),
        "load at the start": f"{os.getloadavg()[0]:.2f}",
        "commit": output_of("git", "describe", "--always", "--dirty", cwd=root),
    }
    facts.update({side.name: side.versions() for side in sides})
    return {what: value for what, value in facts.items() if value}
