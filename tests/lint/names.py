# Lint of names in prose: what documentation writes as code and what comments call a file exists.
#
# In README.md and docs/ a span in backticks is taken apart: a path names a file or folder, from the
# root or as #include does; a name (alone, with (), or with weft::) and every word_with_underscores
# is a word of the library, of its build or of its tests, and not of a comment. FOREIGN lists what
# is somebody else's. A link without a scheme names a file. Other prose is free, but for paths.

import os
import re

from docs import BLOCK, pages
from source import Finding

SPAN = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"(?:\w+::)*~?\w+(?:\(\))?")
UNDERSCORED = re.compile(r"(?<![\w:])[A-Za-z]\w*_\w+\b")
QUALIFIED = re.compile(r"\bweft::((?:\w+::)*)(\w+)")
PATH = re.compile(r"(?<![\w/.<])(?:include|src|tests|examples|docs|bench)/[\w./-]*[\w/]")
PLACE = re.compile(r"(?:include|src|tests|examples|docs|bench)(?:/[\w.-]+)+/?"
                   r"|[\w.-]+(?:/[\w.-]+)*/(?:[\w.-]+\.(?:hpp|cpp|cmake|py|md))?")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")
FILE = re.compile(r"(?<![\w./<>*-])((?:[\w-]+/)*[\w-]+\.(?:hpp|cpp|cmake|py|md))\b")
WORD = re.compile(r"[A-Za-z_]\w*")
# Names that stand in documentation or comments and belong to the system, to other projects or to
# languages.
FOREIGN = {
    "getaddrinfo", "strtok", "uselocale", "system", "exec", "_exit", "malloc", "fork", "sha256sum",
    "catch", "noexcept", "throw", "true", "false", "T", "F", "int", "main", "cmake", "ctest",
    "SIGKILL", "SIGSTOP",
}


def without_comments(file):
    """The text of a C++ file with its strings, but not its comments."""
    return "".join(char if remark == " " else " "
                   for char, remark in zip(file.text, file.comments))


def known_words(tree):
    """The words of everything that is built or run."""
    words = set(FOREIGN)
    for file in tree.code():
        words.update(WORD.findall(without_comments(file)))
    for _, text in tree.scripts():
        words.update(WORD.findall(re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)))
    for path, text in tree.texts.items():
        if path.endswith((".json", ".txt", ".go", ".rs", "Doxyfile")) or path == ".clang-format":
            words.update(WORD.findall(text))
        words.update(WORD.findall(path))
    return words


def places(tree):
    """All paths of files and folders, from the root and as #include names them."""
    result = set()
    for path in tree.texts:
        parts = path.split("/")
        result.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))
    for path in sorted(result):
        for prefix in ("include/", "include/weft/", "src/", "tests/"):
            if path.startswith(prefix):
                result.add(path[len(prefix):])
    return result


def blanked(text):
    """Without blocks of code, which have a lint of their own, and with the same lines."""
    return BLOCK.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


def missing_in_span(span, words, paths):
    """What a span in backticks names and nothing is called."""
    plain = span.strip()
    if "std::" in plain or plain.startswith(("-", "$", "#", "<", ".", "~/")):
        plain = re.sub(r"std::[\w:]+", "", plain)
    if PLACE.fullmatch(plain):
        return [] if plain.rstrip("/") in paths else [plain]
    if "/" in plain:
        return []
    if re.fullmatch(NAME, plain):
        return [word for word in WORD.findall(plain) if word != "weft" and word not in words]
    return [word for word in UNDERSCORED.findall(plain) if word not in words]


def check_docs(tree):
    """What README.md and docs/ write as code, as a path or as a link exists."""
    words, paths = known_words(tree), places(tree)
    public = "\n".join(file.code for file in tree.library() if file.path.startswith("include/"))
    declared = set(WORD.findall(public)) | {"weft"}
    # Targets of CMake are written like names.
    declared |= set(re.findall(r"ALIAS|weft::(\w+)", tree.texts.get("CMakeLists.txt", "")))
    for path, raw in pages(tree):
        text = blanked(raw)

        def at(position, text=text):
            return text.count("\n", 0, position) + 1

        for match in QUALIFIED.finditer(raw):
            absent = [word for word in match.group(1).split("::") + [match.group(2)]
                      if word and word not in declared]
            if absent:
                yield Finding(path, at(match.start()),
                              f"{match.group(0)} is declared nowhere in include/")
        for match in SPAN.finditer(text):
            for name in missing_in_span(match.group(1), words, paths):
                yield Finding(path, at(match.start()), f"nothing is called `{name}`")
        for match in PATH.finditer(text):
            if match.group(0).rstrip("/") not in paths and "NNNN" not in match.group(0):
                yield Finding(path, at(match.start()), f"there is no {match.group(0)}")
        for match in LINK.finditer(text):
            target = os.path.normpath(os.path.join(os.path.dirname(path), match.group(1)))
            if target not in paths:
                yield Finding(path, at(match.start()),
                              f"the link to {match.group(1)} leads nowhere")


def check_comments(tree):
    """A file that a comment names exists."""
    ends = set()
    for path in tree.texts:
        parts = path.split("/")
        ends.update("/".join(parts[n:]) for n in range(len(parts)))
    remarks = [(file.path, file.comment_lines) for file in tree.code()]
    for path, text in tree.scripts():
        if not path.startswith("tests/lint/"):
            remarks.append((path, [line if line.lstrip().startswith("#") else ""
                                   for line in text.splitlines()]))
    for path, lines in remarks:
        for number, line in enumerate(lines, 1):
            for match in FILE.finditer(line):
                name = match.group(1)
                if name not in ends:
                    yield Finding(path, number, f"a comment names {name}, which is not there")
