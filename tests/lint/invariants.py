# Lint of invariants: each one in an opening comment names an assert, a test or a model that exists.

import re

from source import Finding, test_cases

ENTRY = re.compile(r"\b([A-Z][0-9]+) ")
SECTION = re.compile(r"^ [A-Z][a-z]+(?: \S+)?\s{2,}\S|^ [A-Z][a-z]+\s*$")
TEST = re.compile(r'\btest "([^"]+)"')
ASSERT = re.compile(r"\bassert ([A-Za-z_][\w:]*)")
MODEL = re.compile(r"\bmodel ([A-Za-z_]\w*)")


def entries(file):
    """(line number, tag, text) of each invariant of an opening comment."""
    inside, found = False, []
    for number, line in enumerate(file.head(), 1):
        if line.startswith(" Invariants"):
            inside = True
            line = line[len(" Invariants"):]
        elif inside and (SECTION.match(line) or not line.strip()):
            break
        if not inside:
            continue
        match = re.match(r"\s*([A-Z][0-9]+) ", line)
        if match:
            found.append([number, match.group(1), line])
        elif found:
            found[-1][2] += " " + line.strip()
    return found


def check(tree):
    """What an invariant names as its guard exists."""
    names, tags = [], set()
    for file in tree.tests():
        for _, name, case_tags in test_cases(file):
            names.append(name)
            tags.update(case_tags)
    models = [path for path in tree.texts if path.startswith("tests/models/")]
    asserting = [file for file in tree.library()
                 if re.search(r"\b(?:assert|WEFT_ASSERT|fatal|fatal_error)\s*\(", file.code)]
    for file in tree.library():
        for line, tag, text in entries(file):
            claims = 0
            for test in TEST.findall(text):
                claims += 1
                bare = test.strip("[]")
                if bare not in tags and not any(name.startswith(test) for name in names):
                    yield Finding(file.path, line, f'{tag}: there is no test "{test}"')
            for name in ASSERT.findall(text):
                claims += 1
                word = name.split("::")[-1]
                if not any(re.search(rf"\b{word}\b", other.code) for other in asserting):
                    yield Finding(file.path, line,
                                  f"{tag}: no file with an assert has a {name}")
            for name in MODEL.findall(text):
                claims += 1
                if not any(re.search(rf"/{name}\b", path) for path in models):
                    yield Finding(file.path, line, f"{tag}: tests/models/ has no {name}")
            if not claims:
                yield Finding(file.path, line, f"{tag} names no assert, test or model")
