# Lint of claims in prose: a promise and a number name what would fail if they were not so.
#
# A block of README.md, docs/*.md or docs/internals/ (a paragraph, an item, a row of a table) makes
# a claim if it stands under a heading with the word `promised` or carries a number with a unit. It
# then holds, or has directly below it, a line
#
#     <!-- held by: [SC-11]; test "chan I1"; code src/sched/sysmon.cpp "tick = 1 * ms" -->
#
# with one or more of
#
#     [TAG]              a test case has that tag
#     test "NAME"        a test case's name begins so
#     code PATH "TEXT"   the file says that, outside of comments; blanks do not matter
#     measured PATH      the figure stands with its conditions in that page or bench
#
# A decision says in its Evidence what shows it: at least one file or test case that exists.
# docs/benchmarks.md is free: it is where figures stand with their conditions.

import re

from docs import BLOCK, pages
from names import without_comments
from source import Finding, test_cases

MEASURED = "docs/benchmarks.md"
COMMENT = re.compile(r"<!-- held by: (.*?) -->", re.DOTALL)
ITEM = re.compile(r'\[(?P<tag>[^\]]+)\]|test "(?P<test>[^"]+)"'
                  r'|code (?P<code>\S+) "(?P<text>[^"]+)"|measured (?P<measured>\S+)')
UNIT = re.compile(
    r"(?<![\w.])\d[\d,.]*(?:\s(?:to|or)\s\d+)?[\s-]?(?:ns|us|ms|s|seconds?|minutes?|bytes?"
    r"|[KMG]iB|[kMG]B|%|processors?|threads?|fibers?|stacks?|machines?|calls?|choices?)\b"
    r"|\b(?:ten seconds|a millisecond|a million|thousand)\b|\b\d+(?:st|nd|rd|th)\b")
STARTS = re.compile(r"^\s*(?:[-*]|\d+\.)\s|^\|")
HEADING = re.compile(r"^#+ ")
EVIDENCE = re.compile(r"^\*\*Evidence\.\*\*(.*?)(?=^\*\*|\Z)", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"(?:include|src|tests|examples|bench)/[\w./-]*\w")


def blocks(text):
    """(line, heading, text) of each paragraph, item and row. An indented or following comment
    belongs to the block above it."""
    heading, start, lines = "", 0, []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        is_comment = line.lstrip().startswith("<!--")
        ends = not line.strip() or HEADING.match(line) or STARTS.match(line)
        if ends and lines and not is_comment:
            yield start, heading, "\n".join(lines)
            lines = []
        if HEADING.match(line):
            heading = line
        elif line.strip():
            start = start if lines else number
            lines.append(line)


class Held:
    """What claims may refer to."""

    def __init__(self, tree):
        self.tree, self.names, self.tags = tree, [], set()
        for file in tree.tests():
            for _, name, tags in test_cases(file):
                if not any(tag.startswith(".") for tag in tags):
                    self.names.append(name)
                    self.tags.update(tags)

    def wrong(self, marker):
        """What is wrong with one marker's items."""
        rest = ITEM.sub("", marker)
        if rest.strip("; \n"):
            yield f"not understood: {rest.strip('; ')}"
        for match in ITEM.finditer(marker):
            if match.group("tag") and match.group("tag") not in self.tags:
                yield f"no test has the tag [{match.group('tag')}]"
            if match.group("test") and not self.has_test(match.group("test")):
                yield f'there is no test "{match.group("test")}"'
            if match.group("measured") and match.group("measured") not in self.tree.texts:
                yield f"there is no {match.group('measured')}"
            if match.group("code"):
                yield from self.wrong_code(match.group("code"), match.group("text"))

    def has_test(self, start):
        return any(name.startswith(start) for name in self.names)

    def wrong_code(self, path, wanted):
        if path not in self.tree.texts:
            yield f"there is no {path}"
            return
        file = self.tree.sources.get(path)
        text = without_comments(file) if file else self.tree.texts[path]
        if re.sub(r"\s+", "", wanted) not in re.sub(r"\s+", "", text):
            yield f"{path} does not say `{wanted}`"


def check(tree):
    """Promises and numbers in prose name what holds them, and that exists."""
    held = Held(tree)
    for path, raw in pages(tree):
        text = BLOCK.sub(lambda match: "\n" * match.group(0).count("\n"), raw)
        if path.startswith("docs/decisions/"):
            yield from check_decision(path, text, held)
            continue
        if path == MEASURED:
            continue
        for line, heading, block in blocks(text):
            markers = COMMENT.findall(block)
            prose = re.sub(r"<!--.*?-->", "", block, flags=re.DOTALL)
            promises = "promised" in heading and STARTS.match(prose)
            number = UNIT.search(prose)
            if not markers and (promises or number):
                what = f"`{number.group(0)}`" if number else "a promise"
                yield Finding(path, line, f"{what} without <!-- held by: … -->")
            for marker in markers:
                for wrong in held.wrong(marker):
                    yield Finding(path, line, wrong)


def check_decision(path, text, held):
    """Its Evidence names at least one test or file; each named one exists."""
    evidence = EVIDENCE.search(text)
    if not evidence:
        yield Finding(path, 1, "a decision without **Evidence.**")
        return
    line = text.count("\n", 0, evidence.start()) + 1
    words = " ".join(evidence.group(1).split())
    tests = [name.rstrip("…. ") for name in re.findall(r'"([^"]+)"', words)]
    for name in tests:
        if not held.has_test(name):
            yield Finding(path, line, f'there is no test "{name}"')
    if not tests and not FILE.search(words):
        yield Finding(path, line, "its Evidence names neither a test nor a file")
