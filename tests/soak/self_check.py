# Checks of the soak itself: a deterministic round is the same in another process, and what is done
# wrong on purpose is found, told, and told how to repeat.

import re
import subprocess
import sys

SOAK = sys.argv[1]
# Each with the words that must be said of it, and the rounds that it may take to show.
FAULTS = {
    "token": (40, "not as much was received as was sent"),
    "thread": (40, "the number of threads grew"),
    "descriptor": (40, "the number of descriptors grew"),
    "memory": (400, "the heap in use grew"),
    "hang": (40, "soak: nothing has happened for"),
    "chance": (40, "a deterministic round did not repeat"),
}


def run(*arguments):
    """What the soak says with these arguments."""
    return subprocess.run([SOAK, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)


def check(holds, what, output):
    if not holds:
        sys.exit(f"{what}\n{output}")


def repeats():
    """Two processes give the same digests for the same seeds."""
    arguments = ("--rounds", "20", "--seconds", "100", "--seed", "1000", "--digests")
    first, second = run(*arguments), run(*arguments)
    digests = re.findall(r"^\d+ [0-9a-f]{16}$", first.stdout, re.MULTILINE)
    check(first.returncode == 0 and len(digests) >= 2, "no digests", first.stdout)
    check(digests == re.findall(r"^\d+ [0-9a-f]{16}$", second.stdout, re.MULTILINE),
          "another process does something else", first.stdout + second.stdout)


def finds(fault):
    """The fault fails the soak with its words and the seed of the round."""
    rounds, words = FAULTS[fault]
    # Its own deadlock report may come first in a round without other threads.
    end = run("--fault", fault, "--rounds", str(rounds), "--seconds", "100", "--seed", "2000",
              "--patience", "2" if fault == "hang" else "20")
    told = words in end.stdout or fault == "hang" and "all fibers are asleep" in end.stdout
    check(end.returncode == 1 and told, f"the fault `{fault}` was not told", end.stdout)
    check(re.search(r"round of seed 2\d\d\d; this repeats it:\n  \./dev soak 1 2\d\d\d$",
                    end.stdout, re.MULTILINE), "no way to repeat it", end.stdout)


repeats()
for name in FAULTS:
    # Sanitizers keep freed memory; what is leaked they tell at the end.
    if name != "memory" or "--sanitized" not in sys.argv:
        finds(name)
