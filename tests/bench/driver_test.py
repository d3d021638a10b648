# Tests of the benchmark suite's driver: what it reads, computes, prints and checks.

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "bench"), os.path.join(ROOT, "bench", "driver")]
sys.dont_write_bytecode = True

import echo  # noqa: E402
import run  # noqa: E402
import tables  # noqa: E402
import workloads  # noqa: E402
from results import BadOutput, Results, parse_figures, shown  # noqa: E402


def canned(weft, go, unit="ns/op", figure="yield", procs=1):
    """Results of one figure: {side: values}."""
    results = Results({"CPU": "a processor"})
    for side, values in (("weft", weft), ("Go", go)):
        for value in values:
            results.add(procs, side, [(figure, value, unit), (figure + ".cpu", value / 2, unit)])
    return results


def page_of(results):
    page = f"# Page\n\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
    return tables.written(page, tables.markdown(results))


class Figures(unittest.TestCase):
    def test_lines_of_three_fields(self):
        self.assertEqual(parse_figures("yield\t12.5\tns/op\nyield.cpu\t1e1\tns/op\n"),
                         [("yield", 12.5, "ns/op"), ("yield.cpu", 10.0, "ns/op")])

    def test_anything_else_is_refused(self):
        for text in ("", "yield 12 ns/op\n", "yield\tfast\tns/op\n", "yield\t1\n",
                     "yield\t1\tns/op\tmore\n", "yield\t1\tns/op\nready\n", "\t1\tns/op\n"):
            with self.assertRaises(BadOutput, msg=text):
                parse_figures(text)

    def test_sides_that_differ_in_the_unit_are_refused(self):
        results = Results()
        results.add(1, "weft", [("skynet", 1.0, "ms")])
        with self.assertRaisesRegex(BadOutput, "Go prints skynet in s, another side in ms"):
            results.add(1, "Go", [("skynet", 0.001, "s")])

    def test_medians_and_ratios(self):
        results = canned([30, 10, 20], [100, 400, 200, 50])
        ((name, by_side), (cpu, _)) = results.figures(1)
        self.assertEqual((name, cpu), ("yield", "yield.cpu"))
        self.assertEqual(str(by_side["weft"]), "20 (10..30)")
        self.assertEqual(by_side["Go"].median, 150)
        self.assertAlmostEqual(results.ratio(1, "yield", "Go"), 20 / 150)
        self.assertIsNone(results.ratio(2, "yield", "Go"))
        self.assertIsNone(results.ratio(1, "yield", "tokio"))
        self.assertIsNone(canned([1], [0]).ratio(1, "yield", "Go"))

    def test_numbers_are_shown_shortly_and_read_back(self):
        for value, text in ((0, "0"), (0.5478, "0.548"), (12.34, "12.3"), (999.6, "1,000"),
                            (1234567, "1,234,567"), (0.00001234, "0.000012")):
            self.assertEqual(shown(value), text)

    def test_json_keeps_everything(self):
        results = canned([1, 2], [3], procs=2)
        again = Results.from_json(results.to_json())
        self.assertEqual((again.samples, again.units, again.machine),
                         (results.samples, results.units, results.machine))


class Page(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        results = canned([20], [100])
        results.add(2, "weft", [("x.p99", 4000.0, "us"), ("x.cpu", 1.0, "ns/op")])
        results.add(2, "Go", [("x.p99", 2.0, "us"), ("x.cpu", 2.0, "ns/op")])
        page = page_of(results)
        self.assertTrue(page.startswith("# Page\n") and page.endswith("\nafter\n"))
        self.assertNotIn("old", page)
        self.assertIn("CPU: a processor", page)
        self.assertIn("\n### 1 P / 2 P\n", page)
        self.assertIn("| yield | ns/op | 20 (20..20) / - | 100 (100..100) / - "
                      "| 0.2 / - | 0.2 / - |\n", page)
        self.assertEqual(tables.recorded(page), {
            (1, "yield", "Go"): (0.2, "ns/op"), (1, "yield.cpu", "Go"): (0.2, "ns/op"),
            (2, "x.p99", "Go"): (2000.0, "us"), (2, "x.cpu", "Go"): (0.5, "ns/op")})
        self.assertEqual(page_of(results), tables.written(page, tables.markdown(results)))

    def test_a_page_without_its_marks_is_refused(self):
        for page in ("# Page\n", tables.BEGIN + "\n", tables.END + "\n"):
            with self.assertRaises(ValueError):
                tables.written(page, "text")

    def test_worse_is_more_than_a_quarter_up(self):
        page = page_of(canned([20], [100]))
        self.assertEqual(tables.got_worse(page, canned([24.9], [100])), (2, []))
        compared, worse = tables.got_worse(page, canned([26], [100]))
        self.assertEqual(compared, 2)
        self.assertEqual(worse, ["yield, 1 P: weft/Go is 0.26, was 0.2",
                                 "yield.cpu, 1 P: weft/Go is 0.26, was 0.2"])
        self.assertEqual(tables.got_worse(page, canned([5], [100])), (2, []))

    def test_a_rate_is_worse_when_it_falls(self):
        page = page_of(canned([200], [100], "req/s"))
        self.assertEqual(tables.got_worse(page, canned([300], [100], "req/s"))[1],
                         ["yield.cpu, 1 P: weft/Go is 3, was 2"])
        self.assertEqual(tables.got_worse(page, canned([150], [100], "req/s"))[1],
                         ["yield, 1 P: weft/Go is 1.5, was 2"])
        self.assertEqual(tables.got_worse(page, canned([170], [100], "req/s"))[1], [])

    def test_only_what_was_measured_is_compared(self):
        page = page_of(canned([20], [100]))
        self.assertEqual(tables.got_worse(page, canned([90], [100], figure="fib")), (0, []))
        self.assertEqual(tables.got_worse(page, canned([90], [100], procs=2)), (0, []))


class Names(unittest.TestCase):
    def test_patterns(self):
        known = ["yield", "chan_a", "chan_b"]
        self.assertEqual(workloads.chosen([], known), known)
        self.assertEqual(workloads.chosen(["chan_*", "yield"], known), known)
        with self.assertRaisesRegex(ValueError, "no workload 'yeild'; there are: yield"):
            workloads.chosen(["yield", "yeild"], known)

    def test_disagreements(self):
        everything = list(workloads.WORKLOADS)
        without = [n for n in everything if n not in workloads.NO_COUNTERPART["tokio"]]
        self.assertEqual(list(workloads.disagreements(
            {"weft": everything, "Go": everything + workloads.SERVERS, "tokio": without})), [])
        self.assertEqual(list(workloads.disagreements({"Go": everything[1:] + ["yeild"]})),
                         ["Go lists yeild, which workloads.py does not know",
                          f"Go lacks {everything[0]}"])

    def test_what_is_special_has_a_known_name(self):
        known = set(workloads.WORKLOADS + workloads.SERVERS)
        special = set(workloads.LONG) | set(workloads.ONLY_WITH_PROCS)
        for names in workloads.NO_COUNTERPART.values():
            special |= names
        self.assertLessEqual(special, known)


class Runs(unittest.TestCase):
    """The driver over programs of the suite's command line that print canned figures."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.log = os.path.join(self.folder, "log")
        self.page = os.path.join(self.folder, "page.md")
        self.programs = []

    def side(self, name, value, body=""):
        """A program that lists three workloads and prints `value` for each."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"""#!/bin/sh
case $1 in
  list) printf 'yield\\nfib\\nspawn_parked_unpark\\n'; exit ;;
  alternatives) printf 'yield:twice\\n'; exit ;;
  choices) printf 'yield\\tits own way\\n'; exit ;;
esac
echo "{name} $*" >>'{self.log}'
{body}
printf '%s\\t%s\\tns/op\\n' "${{1%:*}}" {value} "${{1%:*}}.cpu" {value}
""")
        os.chmod(path, 0o755)
        self.programs += ["--program", f"{name}={path}"]

    def run_driver(self, *arguments):
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            status = run.main([*arguments, "--sides", "weft,go,tokio", "--page", self.page,
                               *self.programs])
        return status, out.getvalue(), error.getvalue()

    def three_sides(self):
        self.side("weft", 10)
        self.side("go", 40)
        self.side("tokio", 20)

    def logged(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read().splitlines()

    def test_sides_run_in_turn(self):
        self.three_sides()
        kept = os.path.join(self.folder, "kept.json")
        status, out, _ = self.run_driver("yield", "--procs", "2", "--rounds", "2",
                                         "--scale", "0.5", "--json", kept)
        self.assertEqual(status, 0)
        self.assertEqual(self.logged(), [f"{side} yield -procs 2 -scale 0.5"
                                         for side in ("weft", "go", "tokio") * 2])
        self.assertRegex(out, r"yield +ns/op +10 \(10\.\.10\) +40 \(40\.\.40\) +20 \(20\.\.20\)"
                              r" +0\.25 +0\.5\n")
        self.assertIn("tokio: yield by its own way\n", out)
        with open(kept, encoding="utf-8") as file:
            entry = json.load(file)["figures"][0]
        self.assertEqual(entry, {"procs": 2, "figure": "yield", "unit": "ns/op", "samples": {
            "weft": [10.0, 10.0], "Go": [40.0, 40.0], "tokio": [20.0, 20.0]}})

    def test_rounds_and_processors_are_the_workloads_own(self):
        self.three_sides()
        self.assertEqual(self.run_driver()[0], 0)
        runs = [line.split()[1:4:2] for line in self.logged() if line.startswith("weft")]
        self.assertEqual(runs, [["yield", "1"]] * 5 + [["yield", "2"]] * 5 + [["fib", "1"]] * 5
                         + [["fib", "2"]] * 5 + [["spawn_parked_unpark", "2"]] * 3)

    def test_a_run_is_written_and_checked(self):
        self.three_sides()
        with open(self.page, "w", encoding="utf-8") as file:
            file.write(f"{tables.BEGIN}\n{tables.END}\n")
        self.assertEqual(self.run_driver("--write", "--rounds", "1")[0], 0)
        self.assertEqual(self.run_driver("--check", "fib", "--rounds", "1")[0], 0)
        self.programs = []
        self.side("weft", 13)
        self.side("go", 40)
        self.side("tokio", 20)
        status, _, error = self.run_driver("--check", "fib", "--rounds", "1", "--procs", "1")
        self.assertEqual(status, 1)
        self.assertIn("worse: fib, 1 P: weft/tokio is 0.65, was 0.5\n", error)
        self.assertIn("4 ratios compared with the page, 4 over 25 % worse", error)

    def test_a_check_of_nothing_fails(self):
        self.three_sides()
        with open(self.page, "w", encoding="utf-8") as file:
            file.write(f"{tables.BEGIN}\n{tables.END}\n")
        self.assertEqual(self.run_driver("--check", "fib", "--rounds", "1")[0], 1)

    def test_samples_of_an_earlier_run_are_checked(self):
        with open(self.page, "w", encoding="utf-8") as file:
            file.write(page_of(canned([20], [100])))
        kept = os.path.join(self.folder, "kept.json")
        for weft, status in ((20, 0), (30, 1)):
            with open(kept, "w", encoding="utf-8") as file:
                file.write(canned([weft], [100]).to_json())
            self.assertEqual(self.run_driver("--check", "--from", kept)[0], status)

    def test_a_wrong_result_ends_with_status_1(self):
        self.three_sides()
        self.programs = self.programs[:4]
        self.side("tokio", 20, "[ $1 != fib ] || { echo wrong result >&2; exit 1; }")
        status, out, error = self.run_driver("--rounds", "2", "--procs", "1")
        self.assertEqual(status, 1)
        self.assertIn("failed: tokio: fib with 1 P: exit status 1: wrong result", error)
        self.assertRegex(out, r"fib +ns/op +10 \(10\.\.10\) +40 \(40\.\.40\) +- +0\.25 +-\n")
        self.assertEqual(self.logged().count("tokio fib -procs 1 -scale 1"), 1)

    def test_a_side_that_lacks_a_workload_is_left_out_of_it(self):
        self.three_sides()
        self.programs = self.programs[:4]
        self.side("tokio", 20)
        path = os.path.join(self.folder, "tokio")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("fib\\n", ""))
        self.assertEqual(self.run_driver("fib", "--rounds", "1")[0], 0)
        self.assertFalse([line for line in self.logged() if line.startswith("tokio")])

    def test_alternatives_are_compared_with_the_way_taken(self):
        self.three_sides()
        status, out, _ = self.run_driver("--alternatives", "--rounds", "1", "--procs", "1")
        self.assertEqual(status, 0)
        self.assertIn("go yield:twice -procs 1 -scale 1", self.logged())
        self.assertRegex(out, r"Go, 1 P +unit +yield +yield:twice +taken/other\n"
                              r"yield +ns/op +40 \(40\.\.40\) +40 \(40\.\.40\) +1\n")

    def test_many_processors_are_compared_with_two(self):
        self.side("weft", '"$([ $3 = 64 ] && [ $1 = fib ] && echo 13 || echo 10)"')
        self.side("go", 40)
        self.side("tokio", 20)
        with open(self.page, "w", encoding="utf-8") as file:
            file.write(f"{tables.BEGIN_OVERSUBSCRIBED}\n{tables.END}\n"
                       f"{tables.BEGIN}\nkept\n{tables.END}\n")
        arguments = ["--oversubscribed", "--rounds", "2", "--check"]
        status, out, error = self.run_driver("fib", "skynet", *arguments)
        self.assertEqual(status, 1)
        self.assertEqual(self.logged()[:6], [f"weft skynet -procs {procs} -scale 1"
                                             for procs in (2, 16, 64) * 2])
        self.assertRegex(out, r"fib +ns/op +10 \(10\.\.10\) +10 \(10\.\.10\) +13 \(13\.\.13\)"
                              r" +1 +1\.3\n")
        self.assertEqual(error.count("slower: "), 1)
        self.assertIn("slower: fib: 1.3 times as long with 64 P as with 2 P\n", error)
        self.assertEqual(self.run_driver("skynet", *arguments)[0], 0)
        self.assertEqual(self.run_driver("--oversubscribed", "--rounds", "1", "--write")[0], 0)
        with open(self.page, encoding="utf-8") as file:
            page = file.read()
        self.assertIn("| figure | unit | 2 P | 16 P | 64 P | 16 P/2 P | 64 P/2 P |\n", page)
        self.assertIn("| fib | ns/op | 10 (10..10) |", page)
        self.assertTrue(page.endswith(f"{tables.BEGIN}\nkept\n{tables.END}\n"))

    def test_wrong_arguments(self):
        self.three_sides()
        status, _, error = self.run_driver("yeild")
        self.assertEqual(status, 2)
        self.assertIn("no workload 'yeild'", error)
        for wrong in (["--procs", "0"], ["--rounds", "0"], ["--scale", "-1"], ["--write", "fib"]):
            with self.assertRaises(SystemExit) as ended:
                self.run_driver(*wrong)
            self.assertEqual(ended.exception.code, 2)


SERVER = """#!{python}
import asyncio, sys

async def serve(reader, writer):
    while data := await reader.read(4096):
        writer.write({answer})
        await writer.drain()
    writer.close()

async def main():
    host, port = sys.argv[sys.argv.index("-addr") + 1].split(":")
    async with await asyncio.start_server(serve, host, int(port)) as server:
        await server.serve_forever()

asyncio.run(main())
"""


class Servers(unittest.TestCase):
    """The one client, compiled, over echo servers of this test."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name

    def drive(self, answer):
        program = os.path.join(self.folder, "server")
        with open(program, "w", encoding="utf-8") as file:
            file.write(SERVER.format(python=sys.executable, answer=answer))
        os.chmod(program, 0o755)
        return echo.drive(program, "echo_server:way", 1, 0.01, self.folder, (1, 100))

    def test_figures_of_each_number_of_connections(self):
        figures = parse_figures(self.drive("data"))
        self.assertEqual([(name, unit) for name, _, unit in figures], [
            (f"echo_server_{count}.{part}", unit) for count in (1, 100) for part, unit in (
                ("rate", "req/s"), ("p50", "us"), ("p99", "us"), ("p999", "us"),
                ("cpu", "us/op"))])
        values = {name: value for name, value, _ in figures}
        for count in ("1", "100"):
            p50, p99, p999 = (values[f"echo_server_{count}.{p}"] for p in ("p50", "p99", "p999"))
            self.assertTrue(0 < p50 <= p99 <= p999)
            self.assertGreater(values[f"echo_server_{count}.rate"], 0)

    def test_a_server_that_answers_something_else_is_refused(self):
        with self.assertRaisesRegex(BadOutput, "1 connections: .*other bytes came back"):
            self.drive("data.swapcase()")

    def test_a_server_that_ends_is_refused(self):
        program = os.path.join(self.folder, "ends")
        with open(program, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\necho 'no such name' >&2\nexit 3\n")
        os.chmod(program, 0o755)
        with self.assertRaisesRegex(BadOutput, "the server ended: no such name"):
            echo.drive(program, "echo_server", 1, 0.01, self.folder)


if __name__ == "__main__":
    unittest.main()
