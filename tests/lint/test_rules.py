# Lint of the tests: none sleeps or reads a real clock, each has a label.

import re

from source import Finding, test_cases

LABELS = {"unit", "os", "stress", "long", "model"}
SLEEP = re.compile(r"\bthis_thread::sleep_(?:for|until)\b"
                   r"|(?<![\w.>:])(?:usleep|nanosleep|clock_nanosleep|sleep)\s*\("
                   r"|::(?:usleep|nanosleep|sleep)\s*\(")
CLOCK = re.compile(r"\b(?:steady|system|high_resolution)_clock\b|\bclock_gettime\s*\("
                   r"|\bgettimeofday\s*\(")


def check_time(tree):
    """Tests wait for events. A real clock is for tests of the label os, stress or long."""
    for file in tree.tests():
        labels = {tag for _, _, tags in test_cases(file) for tag in tags} & LABELS
        real_time = labels & {"os", "stress", "long"} or file.path.startswith("tests/support/") \
            or file.path.startswith("tests/package/")
        for number, line in enumerate(file.code_lines, 1):
            if SLEEP.search(line):
                yield Finding(file.path, number, "a test sleeps")
            if CLOCK.search(line) and not real_time:
                yield Finding(file.path, number, "a unit test reads a real clock")


def check_labels(tree):
    """Each test case has one of the labels as a tag, and no name stands twice."""
    seen = {}
    for file in tree.tests():
        folder = file.path.split("/")[1]
        for line, name, tags in test_cases(file):
            if not LABELS & set(tags) and not any(tag.startswith(".") for tag in tags):
                yield Finding(file.path, line, f'"{name}" has none of the tags '
                              + ", ".join(f"[{label}]" for label in sorted(LABELS)))
            if (folder, name) in seen:
                yield Finding(file.path, line, f'"{name}" stands also in {seen[folder, name]}')
            seen[folder, name] = file.path
