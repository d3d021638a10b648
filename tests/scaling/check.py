# What operations cost with 1 to 64 simulated processors: `check.py PROGRAM [PATH…]` ends with
# status 1 where locked instructions or shared lines written, per operation, grow with the number of
# processors; `--table` prints all counts as a table for docs/benchmarks.md instead.
#
# What grows is more with each of the many: with one number of them the simulated turns may fall
# into a rhythm of their own.
# With one processor nothing is shared, and with two half of what moves stays where it is; so the
# more of 2 and 4 processors is what more of them are held against. What stays on its processor may
# share next to nothing, with any number of them: one line that all write at each operation does not
# grow, and would still be the end.

import subprocess
import sys

FEW = (2, 4)
MANY = (16, 64)
IN_TABLE = (1, 2, 4, 8, 16, 32, 64)
CHECKED = ("locked", "written", "busiest")
SHOWN = (("locked", "locked instructions"), ("written", "shared lines written"),
         ("busiest", "of these, of the line written most"), ("fetched", "lines fetched"))
# A quarter more, and half an operation for what is small and happens now and then.
FACTOR, SLACK = 1.25, 0.5
STAYS = ("spawn", "channel", "channel_buffered", "timer")


def counts(program, path, procs):
    done = subprocess.run([program, path, str(procs)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{path} with {procs} processors: status {done.returncode}: {done.stderr}")
    return {name: float(value) for name, value in
            (line.split("\t") for line in done.stdout.splitlines())}


def limit_of(path, name, few):
    if path in STAYS and name != "locked":
        return SLACK
    return max(c[name] for c in few) * FACTOR + SLACK


def growth(program, path):
    """What grows, in words."""
    few = [counts(program, path, procs) for procs in FEW]
    many = [counts(program, path, procs) for procs in MANY]
    for name in CHECKED:
        limit = limit_of(path, name, few)
        now = [c[name] for c in many]
        print(f"{path}: {name}: {now} with {MANY} processors, at most {limit:.2f}")
        if min(now) > limit:
            yield f"{path}: {name} grows: {now} with {MANY} processors"


def table(program, paths):
    print("| path | per operation | " + " | ".join(f"{procs} P" for procs in IN_TABLE) + " |")
    print("|---" * (len(IN_TABLE) + 2) + "|")
    for path in paths:
        by_procs = [counts(program, path, procs) for procs in IN_TABLE]
        for name, words in SHOWN:
            cells = " | ".join(f"{c[name]:.2f}" for c in by_procs)
            print(f"| {path} | {words} | {cells} |", flush=True)


program, names = sys.argv[1], [name for name in sys.argv[2:] if name != "--table"]
if not names:
    names = subprocess.run([program, "list"], capture_output=True, text=True,
                           check=True).stdout.split()
if "--table" in sys.argv:
    table(program, names)
else:
    grown = [words for name in names for words in growth(program, name)]
    print("\n".join(grown))
    sys.exit(1 if grown else 0)
