# Explores one Promela model with spin: as it is, and with each of its key lines broken.
#
#   run_models.py COMPILER MODEL.pml [--long]
#
# The opening comment of a model says how, in lines of these forms:
#
#   // Run NAME: FLAGS                         an exploration that must find nothing
#   // Run long NAME: FLAGS                    the same, done with --long only
#   // Break [long] NAME [in RUN]: FILE: CODE  what -DBREAK_NAME takes out or changes in the model
#                                              stands for CODE of FILE; with it, and the flags of
#                                              RUN (default: the first one), spin must find an error
#
# An exploration passes when it has visited every state within the limits below and found neither a
# violated assertion nor a state in which somebody waits for ever. A model passes when, besides,
# each statement of its processes was reached. Exit status 77: spin is not installed.

import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
MEMORY_MB = {False: 2000, True: 4000}  # of one exploration; by --long
SECONDS = {False: 240, True: 1500}
DEPTH = 200000

RUN = re.compile(r"^// Run (long )?(\w+):(.*)$", re.MULTILINE)
BREAK = re.compile(r"^// Break (long )?(\w+)(?: in (\w+))?: (\S+): (.+)$", re.MULTILINE)
FOUND = re.compile(r"^pan:1: (assertion violated.*|invalid end state.*)$", re.MULTILINE)
INCOMPLETE = re.compile(r"Search not completed|max search depth too small|reached -DMEMLIM")
STATES = re.compile(r"^\s*(\S+) states, stored", re.MULTILINE)
INLINE = re.compile(r"^inline .*?^}|^inline .*}$", re.MULTILINE | re.DOTALL)
UNREACHED = re.compile(r"^\t\S+:(\d+), state \d+, \"(?!-end-)(.*)\"$", re.MULTILINE)


class Model:
    """A model's opening comment."""

    def __init__(self, text):
        head = text.split("\n\n", 1)[0]
        self.runs = [(name, flags.split(), bool(is_long))
                     for is_long, name, flags in RUN.findall(head)]
        self.flags = {name: flags for name, flags, _ in self.runs}
        self.breaks = [(name, run, code, bool(is_long))
                       for is_long, name, run, _, code in BREAK.findall(head)]
        # Each use of an inline has its own statements, under the same lines.
        self.inline_lines = {number for match in INLINE.finditer(text)
                             for number in range(text.count("\n", 0, match.start()) + 1,
                                                 text.count("\n", 0, match.end()) + 2)}


def explore(compiler, path, flags, is_long):
    """(what spin found, or None; the number of states; lines not reached); exits on anything else
    than a complete search."""
    broken = any(flag.startswith("-DBREAK_") for flag in flags)
    with tempfile.TemporaryDirectory() as folder:
        def call(*command, seconds):
            return subprocess.run(command, cwd=folder, timeout=seconds, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        made = call("spin", f"-P{compiler} -E -x c", "-a", *flags, path, seconds=60)
        if made.returncode != 0 or not os.path.exists(os.path.join(folder, "pan.c")):
            sys.exit(f"{path} {' '.join(flags)}: spin rejects the model:\n{made.stdout}")
        options = ["-O1", "-DCOLLAPSE"] if is_long else ["-O0" if broken else "-O1"]
        made = call(compiler, "-x", "c", "-w", "-DSAFETY", *options,
                    f"-DMEMLIM={MEMORY_MB[is_long]}", "-o", "pan", "pan.c", seconds=120)
        if made.returncode != 0:
            sys.exit(f"{path}: the verifier does not compile:\n{made.stdout}")
        try:
            table = 24 if is_long else 18 if broken else 22  # its memory costs time, too
            output = call("./pan", f"-m{DEPTH}", f"-w{table}", seconds=SECONDS[is_long]).stdout
        except subprocess.TimeoutExpired:
            sys.exit(f"{path} {' '.join(flags)}: not explored within {SECONDS[is_long]} s")
        found = FOUND.search(output)
        if found:
            steps = call("spin", f"-P{compiler} -E -x c", *flags, "-t", "-p", "-k",
                         os.path.basename(path) + ".trail", path, seconds=60).stdout
            return found.group(1), steps, set()
        if "errors: 0" not in output or INCOMPLETE.search(output):
            sys.exit(f"{path} {' '.join(flags)}: the search is not complete:\n{output}")
        return None, STATES.search(output).group(1), set(UNREACHED.findall(output))


def main():
    compiler, path = sys.argv[1], os.path.abspath(sys.argv[2])
    is_long = "--long" in sys.argv[3:]
    if shutil.which("spin") is None:
        print("skipped: spin is not installed; the models are not explored")
        sys.exit(SKIPPED)
    with open(path, encoding="utf-8") as file:
        model = Model(file.read())
    failures = []

    never_reached = None
    for name, flags, run_is_long in model.runs:
        if run_is_long != is_long:
            continue
        error, states, unreached = explore(compiler, path, flags, is_long)
        if error:
            print("\n".join(states.splitlines()[-400:]))
            failures.append(f"{name}: {error}")
        else:
            print(f"{name}: {states} states, no error")
            never_reached = unreached if never_reached is None else never_reached & unreached
    if is_long:
        never_reached = None  # they are fewer, and each a larger one of the short ones
    for line, statement in sorted(never_reached or set(), key=lambda at: int(at[0])):
        if int(line) not in model.inline_lines:
            failures.append(f"line {line} is never reached: {statement}")
    for name, run, code, break_is_long in model.breaks:
        if break_is_long != is_long:
            continue
        flags = model.flags[run] if run else model.runs[0][1]
        error, _, _ = explore(compiler, path, [*flags, f"-DBREAK_{name}"], is_long)
        if error:
            print(f"{name}, without `{code}`: {error}")
        else:
            failures.append(f"{name}: no error without `{code}`")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
