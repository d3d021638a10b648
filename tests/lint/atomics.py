# Lint of memory orders: each site says which site it pairs with, or why it may be relaxed.

import re

from source import Finding

# As an argument only: acquire and release are names of functions too.
ORDER = re.compile(r"(?<=[(,?:])\s*(?:std::memory_order_|std::memory_order::|detail::)?"
                   r"(relaxed|acquire|release|acq_rel|seq_cst)\s*(?=[),:])")
NAME = r"[a-z0-9_]+(?:\.[a-z0-9_]+)+"
PAIRS = re.compile(rf"//.*\bpairs: ({NAME}(?:, {NAME})*)")
RELAXED = re.compile(r"//.*\brelaxed: \S")
DECLARED = re.compile(rf"\bpair ({NAME})")
# The wrapper itself takes orders and gives none.
EXEMPT = ("include/weft/arch/atomic.hpp",)


def claim_lines(file, position):
    """The lines whose comments count for the site at `position`: its statement and the comment
    directly above it."""
    before = file.code.rfind(";", 0, position), file.code.rfind("{", 0, position), \
        file.code.rfind("}", 0, position)
    start = max(before) + 1
    start += len(file.code[start:]) - len(file.code[start:].lstrip())
    # A condition in parentheses ends a line at its brace, a statement at its semicolon.
    ends = [end for end in (file.code.find(mark, position) for mark in ";{") if end >= 0]
    first, last = file.line_of(start), file.line_of(min(ends, default=position))
    while first > 1 and not file.code_lines[first - 2].strip() \
            and file.comment_lines[first - 2].strip():
        first -= 1
    own = file.line_of(position)
    return sorted({*range(first, last + 1), max(own - 1, 1), own})


def sites(file):
    """(line number, order, comment text that counts for it) of each use of a memory order."""
    if file.path in EXEMPT:
        return
    for match in ORDER.finditer(file.code):
        lines = claim_lines(file, match.start(1))
        comments = [file.comment_lines[line - 1] for line in lines]
        yield file.line_of(match.start(1)), match.group(1), comments


def check(tree):
    """Every order has its `pairs:` or `relaxed:`, every pair two sites and an opening comment."""
    declared = {}
    for file in tree.library():
        for number, line in enumerate(file.head(), 1):
            for name in DECLARED.findall(line):
                declared.setdefault(name, (file.path, number))
    used = {}
    for file in tree.library():
        for line, order, comments in sites(file):
            if order == "relaxed":
                if not any(RELAXED.search(comment) for comment in comments):
                    yield Finding(file.path, line, "relaxed without `// relaxed: <reason>`")
                continue
            names = {name for comment in comments for match in [PAIRS.search(comment)] if match
                     for name in match.group(1).split(", ")}
            if not names:
                yield Finding(file.path, line, f"{order} without `// pairs: <name>`")
            for name in names:
                # An acq_rel of one site is both sides: each pairs with the one before it.
                used.setdefault(name, set()).add((file.path, line, order))
    for name, places in sorted(used.items()):
        path, line, _ = min(places)
        if name not in declared:
            yield Finding(path, line, f"no opening comment explains `pair {name}`")
        if len(places) < 2 and not any(order in ("acq_rel", "seq_cst") for *_, order in places):
            yield Finding(path, line, f"`pairs: {name}` stands at one site only")
    for name, (path, line) in sorted(declared.items()):
        if name not in used:
            yield Finding(path, line, f"`pair {name}` has no site")
