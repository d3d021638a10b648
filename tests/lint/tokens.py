# Lint of tokens that belong into the unsafe seams only, and of headers that the core does without.

import re

from source import Finding

SEAMS = ("include/weft/arch/", "src/arch/", "include/weft/gc/barrier.hpp",
         "include/weft/gc/object_header.hpp", "include/weft/net/sockaddr.hpp")
FORBIDDEN = re.compile(r"\b(thread_local|asm|__asm__|reinterpret_cast|const_cast|boost/context"
                       r"|mmap)\b|\b(std::atomic)(?=\b|_)")
HEAVY = re.compile(r"^(iostream|regex|functional|boost/.*)$")
# Headers of optional components bring their library along.
OPTIONAL = ("include/weft/tls", "include/weft/http", "include/weft/asio")


def check_seams(tree):
    """Dangerous tokens stand in arch/ and the three files of SEAMS beside it."""
    for file in tree.library():
        if file.path.startswith(SEAMS):
            continue
        for number, line in enumerate(file.code_lines, 1):
            # An include's quoted name is a string to the code view.
            if "include" in line:
                line = file.lines[number - 1]
            for match in FORBIDDEN.finditer(line):
                token = match.group(1) or match.group(2)
                yield Finding(file.path, number, f"`{token}` outside arch/ and the named seams")


def check_heavy_includes(tree):
    """Headers include neither <iostream>, <regex>, <functional> nor Boost."""
    for file in tree.library():
        if not file.path.startswith("include/") or file.path.startswith(OPTIONAL):
            continue
        for number, name, _ in file.includes():
            seam = name.startswith("boost/") and file.path.startswith(SEAMS)
            if HEAVY.match(name) and not seam:
                yield Finding(file.path, number, f"a header of the core includes <{name}>")
