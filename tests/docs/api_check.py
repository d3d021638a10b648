# Builds the API pages by Doxygen and fails on every warning, and on public names without a comment:
# `api_check.py ROOT`. Says so and succeeds where Doxygen is missing (exit status 77).

import os
import re
import shutil
import subprocess
import sys
import tempfile

# What needs no words: copying, moving and ending as every C++ type does it.
SPECIAL = re.compile(
    r"Member (?P<name>\w+)\(.*\(function\) of (?:class|struct) (?:\w+::)*(?P=name) "
    r"|Member operator=\(")
INNER = re.compile(r"\bof \w+ (?:weft::)?detail\b|\bCompound (?:weft::)?detail::|weft::detail::"
                   r"|\bMember \w+_ \(variable\)")


def run(root, *settings):
    """The lines that Doxygen says with these settings behind those of the project."""
    with open(os.path.join(root, "docs", "Doxyfile"), encoding="utf-8") as file:
        config = file.read()
    with tempfile.TemporaryDirectory() as folder:
        config += "\n".join(["", f"OUTPUT_DIRECTORY = {folder}", "WARN_AS_ERROR = NO",
                             *settings, ""])
        result = subprocess.run(["doxygen", "-"], cwd=root, input=config, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    lines = result.stdout.splitlines()
    if result.returncode != 0:
        lines.append(f"doxygen ended with status {result.returncode}")
    return lines


def forgotten(root):
    """Inner headers with comments for users that the pages do not show."""
    with open(os.path.join(root, "docs", "Doxyfile"), encoding="utf-8") as file:
        config = file.read()
    include = os.path.join(root, "include", "weft")
    for folder, _, names in sorted(os.walk(include)):
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                has_words = re.search(r"^\s*///", file.read(), re.MULTILINE)
            place = os.path.relpath(path, root)
            if folder != include and has_words and place not in config:
                yield f"{place}: has comments with /// but is no INPUT of docs/Doxyfile"


def undocumented(lines):
    """Of the warnings about missing comments those that concern a user."""
    for line in lines:
        if "is not documented" in line and not INNER.search(line) and not SPECIAL.search(line):
            yield line


def main():
    root = os.path.abspath(sys.argv[1])
    if shutil.which("doxygen") is None:
        print("doxygen is missing")
        sys.exit(77)
    findings = [*forgotten(root), *run(root)]
    findings += undocumented(run(root, "WARN_IF_UNDOCUMENTED = YES", "HIDE_UNDOC_MEMBERS = NO",
                                 "HIDE_UNDOC_CLASSES = NO"))
    for line in findings:
        print(line.replace(root + os.sep, ""))
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
