# Compares the names that the built programs of the suite list; skipped (77) where none is built or
# all are older than their sources: `names_check.py BUILD-TREE`.

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "bench", "driver")]
sys.dont_write_bytecode = True

import sides  # noqa: E402
import workloads  # noqa: E402

lists = {}
for side in sides.all_sides(ROOT, sys.argv[1], {}):
    if side.is_built():
        lists[side.name] = side.names()
    else:
        print(f"{side.name}: not built, or older than its sources")
wrong = list(workloads.disagreements(lists))
print("\n".join(wrong or ["agree: " + ", ".join(lists)]))
sys.exit(1 if wrong else 0 if lists else 77)
