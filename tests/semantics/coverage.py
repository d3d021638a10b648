# Lint of the numbered semantics: each has a test that carries its id as a tag.
#
# ids.txt    a line `KEY text` for each rule. KEY is an id (CH-07), or one half of it (SC-21:IO
#            wait) where a rule speaks of two parts of the library.
# later.txt  a line `PART: KEY` for each that waits for a part of the library not built yet.
#
# A test shows a rule by the tag [KEY]; what must not compile shows it by `// shows: [KEY]`. Hidden
# tests show nothing.

import re

from source import Finding, test_cases

IDS = "tests/semantics/ids.txt"
LATER = "tests/semantics/later.txt"
KEY = r"[A-Z]{2}-[0-9]{2}(?::[^\]\[]+)?"


def listed(tree, path, pattern):
    """The matches of a list's lines, by line number; what matches not is a finding."""
    matches, findings = [], []
    for number, line in enumerate(tree.texts.get(path, "").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(pattern, line)
        if match:
            matches.append((number, match))
        else:
            findings.append(Finding(path, number, f"not understood: {line}"))
    return matches, findings


def shown(tree):
    """The keys that tests show, each with the place of one."""
    places = {}
    for file in tree.tests():
        for line, _, tags in test_cases(file):
            if any(tag.startswith(".") for tag in tags):
                continue
            for tag in tags:
                if re.fullmatch(KEY, tag):
                    places.setdefault(tag, (file.path, line))
        if file.path.startswith("tests/compile_fail/"):
            for number, line in enumerate(file.comment_lines, 1):
                if re.search(r"// shows: \[", line):
                    for key in re.findall(rf"\[({KEY})\]", line):
                        places.setdefault(key, (file.path, number))
    return places


def check(tree):
    """Every key has a test, but for those that wait; a key that waits has none."""
    ids, findings = listed(tree, IDS, rf"({KEY}(?=  )|[A-Z]{{2}}-[0-9]{{2}}(?= ))\s+(\S.*)")
    later, more = listed(tree, LATER, rf"([a-z]+): ({KEY})")
    yield from findings + more
    keys = {match.group(1): number for number, match in ids}
    groups = {key[:2] for key in keys}
    if not keys:
        yield Finding(IDS, 1, "lists no ids")
    waits = {}
    for number, match in later:
        part, key = match.groups()
        if key not in keys:
            yield Finding(LATER, number, f"{key} is not in {IDS}")
        waits[key] = (number, part)
    tests = shown(tree)
    for key, line in keys.items():
        if key not in tests and key not in waits:
            yield Finding(IDS, line, f"no test has the tag [{key}]")
    for key, (number, part) in waits.items():
        if key in tests:
            path, line = tests[key]
            yield Finding(LATER, number,
                          f"{key} waits for {part}, but {path}:{line} shows it: "
                          "take it off this list")
    for key, (path, line) in tests.items():
        if key[:2] in groups and key not in keys:
            yield Finding(path, line, f"the tag [{key}] is none of those in {IDS}")
