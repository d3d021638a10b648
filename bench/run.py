#!/usr/bin/env python3
# The suite's driver, behind `./dev bench`: runs the same workloads on all sides in turn, and prints
# medians and ratios.
#
# For each workload and number of P's the sides run one after the other (weft, Go, tokio, weft, …),
# so that what changes on the machine meanwhile changes all of them.

import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(HERE, "driver")]
sys.dont_write_bytecode = True

import echo  # noqa: E402
import sides as sides_module  # noqa: E402
import tables  # noqa: E402
import workloads  # noqa: E402
from results import BadOutput, Results, parse_figures  # noqa: E402
from sides import BuildFailed, say  # noqa: E402

SECONDS_PER_RUN = 300


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="./dev bench", description="Compares weft with its peers on the benchmark suite.")
    parser.add_argument("names", metavar="NAME", nargs="*",
                        help="workloads, also with * and ?; none: all")
    parser.add_argument("--json", metavar="FILE", help="keeps all samples in FILE")
    parser.add_argument("--from", metavar="FILE", dest="source",
                        help="takes the samples of an earlier --json instead of measuring")
    parser.add_argument("--build-only", action="store_true", help="builds all sides and stops")
    parser.add_argument("--check", action="store_true",
                        help="status 1 where a ratio is over 25 %% worse than in the page")
    parser.add_argument("--write", action="store_true", help="writes the table into the page")
    parser.add_argument("--alternatives", action="store_true",
                        help="instead of weft with peers: each peer's programs with the same work "
                             "done in another obvious way")
    parser.add_argument("--oversubscribed", action="store_true",
                        help="instead: weft with more P's than there are cores, against two; "
                             "--check: status 1 where a workload takes over 25 %% longer")
    parser.add_argument("--procs", metavar="N,…", default="1,2", help="numbers of P's (1,2)")
    parser.add_argument("--rounds", metavar="N", type=int,
                        help=f"rounds ({workloads.ROUNDS}, {workloads.LONG_ROUNDS} for long ones)")
    parser.add_argument("--scale", metavar="F", default="1", help="multiplies the operations (1)")
    parser.add_argument("--sides", metavar="NAME,…",
                        help="only these of weft, go, tokio, boost.fiber")
    parser.add_argument("--program", metavar="SIDE=PATH", action="append", default=[],
                        help="a side's program, not to be built; also of a further side")
    parser.add_argument("--page", metavar="FILE", help="instead of docs/benchmarks.md",
                        default=os.path.join(ROOT, "docs", "benchmarks.md"))
    parser.add_argument("--build-tree", metavar="DIR", default=os.path.join(ROOT, "build", "bench"),
                        help="instead of build/bench")
    options = parser.parse_args(argv)
    try:
        options.procs = [int(n) for n in options.procs.split(",")]
        options.program = {name.lower(): os.path.abspath(path) for name, path in
                           (pair.split("=", 1) for pair in options.program)}
        rounds = 1 if options.rounds is None else options.rounds
        if min(*options.procs, rounds) < 1 or float(options.scale) <= 0:
            raise ValueError
    except ValueError:
        parser.error("--procs, --rounds, --scale or --program: see --help")
    if options.write and (options.names or options.alternatives):
        parser.error("--write: the page shows whole runs, so without NAME and --alternatives")
    if options.oversubscribed and (options.alternatives or options.source or options.json):
        parser.error("--oversubscribed: without --alternatives, --from and --json")
    if options.oversubscribed and not options.sides:
        options.sides = tables.OWN
    return options


def ready_sides(options):
    """The sides that can run, built."""
    sides = sides_module.all_sides(ROOT, os.path.abspath(options.build_tree), options.program)
    if options.sides:
        wanted = options.sides.lower().split(",")
        unknown = set(wanted) - {side.name.lower() for side in sides}
        if unknown:
            raise ValueError(f"no side {', '.join(sorted(unknown))}")
        sides = [side for side in sides if side.name.lower() in wanted]
    ready = []
    for side in sides:
        reason = side.missing()
        if reason:
            say(f"{side.name} is skipped: {reason}")
            continue
        side.build()
        ready.append(side)
    return ready


class Runner:
    """Runs programs in turn and gathers what they print."""

    def __init__(self, options, results):
        self.options, self.results, self.failures = options, results, []

    def run(self, contestants, workload, procs):
        """contestants: [(label, program, name)]."""
        self.run_in_turn([(*contestant, procs) for contestant in contestants], workload, procs)

    def run_in_turn(self, contestants, workload, key):
        """contestants: [(label, program, name, procs)]; the results are those of `key`."""
        rounds = self.options.rounds or workloads.rounds_of(workload)
        say(f"{workload}, {rounds} rounds of " +
            ", ".join(f"{label}, {procs} P" for label, _, _, procs in contestants))
        failed = set()
        for _ in range(rounds):
            for label, program, name, procs in contestants:
                if label in failed:
                    continue
                try:
                    self.results.add(key, label, self.figures(program, name, procs))
                except (BadOutput, OSError, subprocess.SubprocessError) as error:
                    failed.add(label)
                    self.failures.append(f"{label}: {name} with {procs} P: {error}")
                    say(self.failures[-1])
        if self.options.json:
            with open(self.options.json, "w", encoding="utf-8") as file:
                file.write(self.results.to_json())

    def figures(self, program, name, procs):
        if name.partition(":")[0] in workloads.SERVERS:
            return parse_figures(echo.drive(program, name, procs, float(self.options.scale),
                                            self.options.build_tree))
        done = subprocess.run(
            [program, name, "-procs", str(procs), "-scale", self.options.scale],
            capture_output=True, text=True, timeout=SECONDS_PER_RUN)
        if done.returncode != 0:
            raise BadOutput(f"exit status {done.returncode}: {done.stderr.strip()[-500:]}")
        return parse_figures(done.stdout)


def measure(options, sides):
    """The results of all sides, and what failed."""
    lists = {side: side.names() for side in sides}
    listed = {name for names in lists.values() for name in names}
    known = [name for name in workloads.WORKLOADS + workloads.SERVERS if name in listed]
    known += sorted(listed - set(known))
    own = [set(names) for side, names in lists.items() if side.name == tables.OWN]
    if own and not options.names:
        # What weft cannot do yet is run when it is asked for.
        known = [name for name in known if name in own[0]]
    runner = Runner(options, Results(sides_module.machine(ROOT, sides)))
    for workload in workloads.chosen(options.names, known):
        for procs in options.procs:
            if workloads.ONLY_WITH_PROCS.get(workload, procs) != procs:
                continue
            contestants = [(side.name, side.program, workload)
                           for side, names in lists.items() if workload in names]
            runner.run(contestants, workload, procs)
    return runner.results, runner.failures


def measure_alternatives(options, sides):
    """Prints for each peer the ways that were taken beside the others; what failed."""
    failures = []
    by_side = {}
    for side in sides:
        ways = by_side[side] = {}
        for name in side.names("alternatives"):
            ways.setdefault(name.partition(":")[0], []).append(name)
    wanted = workloads.chosen(options.names, sorted({w for ways in by_side.values() for w in ways}))
    for side, ways in by_side.items():
        for workload in [name for name in wanted if name in ways]:
            runner = Runner(options, Results())
            for procs in options.procs:
                if workloads.ONLY_WITH_PROCS.get(workload, procs) != procs:
                    continue
                names = [workload, *ways[workload]]
                runner.run([(name, side.program, name) for name in names], workload, procs)
                rows = [[f"{side.name}, {procs} P", "unit", *names, "taken/other"]]
                for figure, by_way in runner.results.figures(procs):
                    ratios = (runner.results.ratio(procs, figure, other, own=workload)
                              for other in ways[workload])
                    rows.append([figure, runner.results.units[figure],
                                 *(str(by_way.get(name, "-")) for name in names),
                                 " ".join(tables.ratio_text(ratio) for ratio in ratios)])
                print(tables.aligned(rows) + "\n", flush=True)
            failures += runner.failures
    return failures


def measure_oversubscribed(options, sides):
    """The results of weft with few and many P's, as if they were sides; what failed."""
    own = [side for side in sides if side.name == tables.OWN]
    if not own:
        raise ValueError("--oversubscribed: weft is not among the sides")
    runner = Runner(options, Results(sides_module.machine(ROOT, own)))
    for workload in workloads.chosen(options.names, workloads.OVERSUBSCRIBED):
        runner.run_in_turn([(tables.label(procs), own[0].program, workload, procs)
                            for procs in workloads.MANY_PROCS], workload, tables.ALL_PROCS)
    return runner.results, runner.failures


def show_oversubscribed(results, options, failures):
    """The status."""
    print(tables.aligned(tables.oversubscribed(results)), flush=True)
    for failure in failures:
        say(f"failed: {failure}")
    slower = list(tables.slower_with_many(results)) if options.check else []
    for line in slower:
        say(f"slower: {line}")
    if options.write:
        write_page(options.page, lambda page: tables.written(
            page, tables.oversubscribed_page(results), tables.BEGIN_OVERSUBSCRIBED))
    return 1 if failures or slower else 0


def write_page(path, change):
    with open(path, encoding="utf-8") as file:
        text = change(file.read())
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    say(f"written: {path}")


def show(results, sides):
    for what, value in results.machine.items():
        print(f"{what}: {value}")
    for side in sides:
        choices = subprocess.run([side.program, "choices"], capture_output=True, text=True)
        taken = [line.split("\t") for line in choices.stdout.splitlines()]
        figures = {name.partition(".")[0] for _, name in results.samples}
        taken = [f"{pair[0]} by {pair[1]}" for pair in taken
                 if choices.returncode == 0 and len(pair) == 2 and pair[0] in figures]
        if taken:
            print(f"{side.name}: " + "; ".join(taken))
    for procs in results.procs():
        print(f"\n{procs} P, median (min..max)")
        print(tables.terminal(results, procs))


def check(results, page):
    """The status of --check."""
    compared, worse = tables.got_worse(page, results)
    for line in worse:
        say(f"worse: {line}")
    say(f"{compared} ratios compared with the page, {len(worse)} over 25 % worse")
    if not compared:
        say("no ratio of the page was measured: nothing was checked")
    return 1 if worse or not compared else 0


def main(argv):
    options = arguments(argv)
    status, sides, failures = 0, [], []
    try:
        if options.source:
            with open(options.source, encoding="utf-8") as file:
                results = Results.from_json(file.read())
        else:
            sides = ready_sides(options)
            if options.build_only:
                echo.build_client(options.build_tree)
                return 0
            if options.alternatives:
                return 1 if measure_alternatives(options, sides) else 0
            if options.oversubscribed:
                results, failures = measure_oversubscribed(options, sides)
                return show_oversubscribed(results, options, failures)
            results, failures = measure(options, sides)
    except (BuildFailed, ValueError, OSError) as error:
        say(error)
        return 2
    show(results, sides)
    for failure in failures:
        say(f"failed: {failure}")
        status = 1
    if options.check:
        with open(options.page, encoding="utf-8") as file:
            status = max(status, check(results, file.read()))
    if options.write:
        write_page(options.page, lambda page: tables.written(page, tables.markdown(results)))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
