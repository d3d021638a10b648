# Lint of comments and of the shape of files.

import re

from source import Finding

LINE_LIMIT = 100
FILE_AIM = 600
BANNER = re.compile(r"^\s*(?://+|#+|/?\*+/?)\s*([-=*#~_/+])\1{5,}"
                    r"|^\s*(?://|#).*\s([-=*#~])\2{5,}\s*$")
LATER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b(?!\(#\d+\))")
DATE = re.compile(r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]\b")
DEAD_CODE = re.compile(
    r"^\s*//\s+(?:[\w.:>-]+\([^()]*\);|return\b[^.]*;|[\w:<>]+[&*]? [\w.>-]+ = [^.]*;"
    r"|[\w.>-]+ = \S+;)$")
# Places of somebody's machine. In classes, so that this line does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w.}$)/-])/(?:wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+)"
                          r"(?=/|\b(?![\w-]))")
CONTRACT = ("Blocks", "Cancel", "Errors", "Threads", "Order")


def first_paragraph(lines, mark):
    """The text of the leading comment up to its first empty line."""
    result = []
    for line in lines:
        if not line.startswith(mark) or not line.strip(mark + " "):
            break
        result.append(line.lstrip(mark).strip())
    return " ".join(result)


def check_first_line(tree):
    """Each file opens with a comment of one sentence that says what it gives."""
    openings = [(file.path, file.lines, "//") for file in tree.code()]
    for path, text in tree.scripts():
        lines = text.splitlines()
        openings.append((path, lines[1:] if text.startswith("#!") else lines, "#"))
    for path, lines, mark in openings:
        paragraph = first_paragraph(lines, mark)
        if len(paragraph.split()) < 2:
            yield Finding(path, 1, "does not open with a comment that says what the file gives")
        elif not re.search(r"[.:?]$|[.:?] ", paragraph):
            yield Finding(path, 1, "the opening comment is no sentence")


def check_words(tree):
    """No banners, no dates, no work without an issue's number, no code in comments."""
    remarks = [(file.path, file.comment_lines) for file in tree.code()]
    for path, text in tree.scripts():
        lines = text.splitlines()
        remarks.append((path, [line if line.lstrip().startswith("#") else "" for line in lines]))
    for path, lines in remarks:
        for number, line in enumerate(lines, 1):
            if BANNER.search(line):
                yield Finding(path, number, "a banner")
            if LATER.search(line):
                yield Finding(path, number, "work for later without the number of its issue")
            if DATE.search(line):
                yield Finding(path, number, "a date in a comment")
            if path.endswith((".hpp", ".cpp")) and DEAD_CODE.match(line):
                yield Finding(path, number, "code in a comment")


def check_paths(tree):
    """No file mentions a place on somebody's machine."""
    for path, text in tree.texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            match = MACHINE_PATH.search(line)
            if match:
                yield Finding(path, number, f"a machine's path: {match.group(0)}")


def check_lines(tree):
    """Lines end at column 100, without trailing blanks; headers are guarded by the pragma."""
    everything = [(file.path, file.lines) for file in tree.code()]
    everything += [(path, text.splitlines()) for path, text in tree.scripts()]
    for path, lines in everything:
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_LIMIT:
                yield Finding(path, number, f"{len(line)} columns, more than {LINE_LIMIT}")
            if line != line.rstrip():
                yield Finding(path, number, "blanks at the end of the line")
        if path.endswith(".hpp") and "#pragma once" not in lines:
            yield Finding(path, 1, "a header without #pragma once")


def check_contract(tree):
    """The contract lines of a public function stand in one order."""
    for file in tree.library():
        last = -1
        for number, line in enumerate(file.comment_lines, 1):
            if not line.lstrip().startswith("///"):
                last = -1
                continue
            match = re.match(r"\s*/// ([A-Z][a-z]+):?\s", line)
            if match and match.group(1) in CONTRACT:
                place = CONTRACT.index(match.group(1))
                if place < last:
                    yield Finding(file.path, number,
                                  f"`{match.group(1)}` stands after `{CONTRACT[last]}`; "
                                  "the order is " + ", ".join(CONTRACT))
                last = place


def notes_on_length(tree):
    """Files over the aim of 600 lines: reported, not rejected."""
    for file in tree.code():
        if len(file.lines) > FILE_AIM:
            yield Finding(file.path, len(file.lines), f"over {FILE_AIM} lines")
