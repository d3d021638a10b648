# Runs the lints: `lint.py ROOT COMPILER [NAME…]` prints what they reject and fails if there is
# anything.

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "semantics")]
sys.dont_write_bytecode = True

import atomics  # noqa: E402
import claims  # noqa: E402
import comments  # noqa: E402
import coverage  # noqa: E402
import docs  # noqa: E402
import invariants  # noqa: E402
import layers  # noqa: E402
import models  # noqa: E402
import names  # noqa: E402
import test_rules  # noqa: E402
import tokens  # noqa: E402
import tools  # noqa: E402
from source import Tree  # noqa: E402

# Lints of a tree in memory.
LINTS = {
    "layers": layers.check,
    "seams": tokens.check_seams,
    "heavy includes": tokens.check_heavy_includes,
    "memory orders": atomics.check,
    "invariants": invariants.check,
    "models": models.check,
    "first lines": comments.check_first_line,
    "comments": comments.check_words,
    "machine paths": comments.check_paths,
    "lines": comments.check_lines,
    "contract lines": comments.check_contract,
    "names in comments": names.check_comments,
    "time in tests": test_rules.check_time,
    "labels of tests": test_rules.check_labels,
    "semantics": coverage.check,
    "documentation code": docs.check_blocks,
    "documentation examples": docs.check_examples,
    "documentation names": names.check_docs,
    "documentation claims": claims.check,
    "documentation length": docs.check_length,
}
# Lints that run a tool over files on the disk.
TOOL_LINTS = {
    "format": lambda root, compiler, tree: tools.check_format(
        root, [file.path for file in tree.code()]),
    "header cost": lambda root, compiler, tree: tools.check_header_cost(
        root, compiler, [path[len("include/"):] for path in tree.sources
                         if path.startswith("include/weft/") and path.count("/") == 2]),
}
# What is told and not rejected.
NOTES = {"length": comments.notes_on_length}


def main():
    root, compiler, wanted = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:]
    tree = Tree.read(root)
    rejected = 0
    for name in wanted or [*LINTS, *TOOL_LINTS, *NOTES]:
        if name in LINTS:
            findings = list(LINTS[name](tree))
        elif name in TOOL_LINTS:
            findings = list(TOOL_LINTS[name](root, compiler, tree))
        elif name in NOTES:
            for note in NOTES[name](tree):
                print(f"note: {note}")
            continue
        else:
            sys.exit(f"no lint `{name}`; there are: " + ", ".join([*LINTS, *TOOL_LINTS, *NOTES]))
        for finding in findings:
            print(f"{finding} [{name}]")
        rejected += len(findings)
    if rejected:
        sys.exit(f"{rejected} rejected")


if __name__ == "__main__":
    main()
