# Lint of the documentation: its code is the code of examples and tests, and its pages are short.
#
# A block of C++ in README.md or docs/ stands below a line `<!-- from PATH NAME -->` and equals the
# text of PATH between the lines `// [NAME]` and `// [end]`, without common indentation; NAME `all`
# is the whole file but its opening and closing comment. A block that shows what not to do, or a
# fragment of CMake or shell, carries another language than cpp.

import re
import textwrap

from source import Finding

EXAMPLES = "tests/docs/reference_test.cpp"
CONTRACT = re.compile(r"\s*/// (?:Blocks|Cancel|Errors|Threads|Order|Complexity)\b")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOURCE = re.compile(r"<!-- from (\S+) (\w+) -->\n\Z")


def excerpt(text, name):
    """The part of a file that a block shows; None if it is not there."""
    if name == "all":
        lines = text.splitlines()
        while lines and (lines[0].startswith("//") or not lines[0].strip()):
            lines.pop(0)
        for number, line in enumerate(lines):
            if line in ("// Output:", "// Unordered output:"):
                lines = lines[:number]
                break
        return "\n".join(lines).strip("\n") + "\n"
    match = re.search(rf"^[ \t]*// \[{name}\]\n(.*?)^[ \t]*// \[end\]$", text,
                      re.MULTILINE | re.DOTALL)
    return textwrap.dedent(match.group(1)) if match else None


def pages(tree):
    return [(path, text) for path, text in tree.texts.items()
            if path.endswith(".md") and (path.startswith("docs/") or "/" not in path)]


def check_blocks(tree):
    """Each block of C++ is an excerpt of a file that the tests compile."""
    for path, text in pages(tree):
        for match in BLOCK.finditer(text):
            if match.group(1) != "cpp":
                continue
            line = text.count("\n", 0, match.start()) + 1
            source = SOURCE.search(text[:match.start()])
            if not source:
                yield Finding(path, line, "a block of C++ without <!-- from PATH NAME --> above it")
                continue
            file, name = source.groups()
            shown = excerpt(tree.texts.get(file, ""), name)
            if shown is None or file not in tree.texts:
                yield Finding(path, line, f"{file} has no part `{name}`")
            elif shown != match.group(2):
                yield Finding(path, line, f"differs from `{name}` of {file}")


def examples(file):
    """(line number, lines) of each example in the comments of a header: indented behind ///."""
    found = []
    for number, line in enumerate([*file.lines, ""], 1):
        match = re.match(r"\s*/// {5,}(\S.*)$", line)
        if match and found and found[-1][0] + len(found[-1][1]) == number:
            found[-1][1].append(match.group(1))
        elif match and not CONTRACT.match(file.lines[number - 2]):
            found.append((number, [match.group(1)]))
    return [(number, lines) for number, lines in found
            if not file.lines[number - 2].strip(" /")]


def check_examples(tree):
    """Examples in the comments of headers stand so in the test that compiles them; `...` stands for
    any lines."""
    test = tree.texts.get(EXAMPLES, "")
    for file in tree.library():
        for number, lines in examples(file):
            pattern = r"\s*\n\s*".join(r"(?:.*\n)*?.*" if line == "..." else re.escape(line)
                                       for line in lines)
            if not re.search(pattern, test):
                yield Finding(file.path, number, f"{EXAMPLES} has no such example")


def check_length(tree):
    """Pages have 200 lines at most."""
    for path, text in pages(tree):
        if path.startswith("docs/") and text.count("\n") > 200:
            yield Finding(path, 200, "over 200 lines: split the page")
