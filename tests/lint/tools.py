# Lints that ask a tool: clang-format for the layout, the compiler for what the public headers drag
# in.

import os
import re
import shutil
import subprocess
import tempfile

from source import Finding

STYLE_VERSION = 19
# C headers of the language itself, which the compiler or the C library provides.
LANGUAGE = {"stddef.h", "stdint.h", "stdarg.h", "stdalign.h", "limits.h", "float.h"}
FOREIGN = re.compile(r"/(boost|fmt)/")
OPTIONAL = {"tls.hpp", "http.hpp", "asio.hpp", "testing_catch.hpp", "testing_gtest.hpp"}


def clang_format():
    """The clang-format whose style the code has; others lay some things out differently."""
    for name in (f"clang-format-{STYLE_VERSION}", "clang-format"):
        path = shutil.which(name)
        if path:
            version = subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True).stdout
            if re.search(rf"version {STYLE_VERSION}\.", version):
                return path
    return None


def check_format(root, paths):
    """clang-format would change nothing."""
    tool = clang_format()
    if not tool or not paths:
        return
    result = subprocess.run([tool, "--dry-run", "--ferror-limit=1", *paths], cwd=root,
                            stderr=subprocess.PIPE, text=True)
    seen = set()
    for match in re.finditer(r"^(\S+?):(\d+):\d+: \w+: code should be clang-formatted",
                             result.stderr, re.MULTILINE):
        if match.group(1) not in seen:
            seen.add(match.group(1))
            yield Finding(match.group(1), int(match.group(2)), "not laid out by clang-format")


def preprocess(compiler, include, header):
    """The pairs (header, includer) of everything that one header includes."""
    with tempfile.TemporaryDirectory() as folder:
        unit = os.path.join(folder, "unit.cpp")
        with open(unit, "w", encoding="utf-8") as file:
            file.write(f'#include "{header}"\n')
        result = subprocess.run([compiler, "-std=c++20", "-E", f"-I{include}", unit],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        yield None, result.stderr
        return
    stack = []
    for match in re.finditer(r'^# \d+ "([^"]+)"((?: \d)*)', result.stdout, re.MULTILINE):
        path, flags = match.group(1), match.group(2).split()
        if "1" in flags:
            yield path, stack[-1] if stack else unit
            stack.append(path)
        elif "2" in flags and stack:
            stack.pop()


def is_standard(path):
    """Whether a system header belongs to C++ or the language, not to the operating system."""
    return "." not in os.path.basename(path) or "/c++/" in path or \
        os.path.basename(path) in LANGUAGE


def check_header_cost(root, compiler, headers):
    """What a user includes brings no header of the system, of Boost or of fmt along."""
    include = os.path.join(root, "include")
    inside = include + os.sep
    for header in headers:
        if os.path.basename(header) in OPTIONAL:
            continue
        place = f"include/{header}"
        for path, includer in preprocess(compiler, include, header):
            if path is None:
                yield Finding(place, 1, "does not compile alone: " + includer)
            elif FOREIGN.search(path) and not path.startswith(inside):
                yield Finding(place, 1, f"brings {path} along, by way of {includer}")
            elif includer.startswith(inside) and not path.startswith(inside) \
                    and not is_standard(path):
                yield Finding(place, 1, f"brings the system's {path} along, by way of {includer}")
