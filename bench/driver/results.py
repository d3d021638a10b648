# What the programs print, gathered: medians, spreads and ratios.

import json
import statistics


class BadOutput(Exception):
    """A program printed something else than figures."""


def parse_figures(text):
    """[(figure, value, unit)] of a program's output: lines `figure<TAB>value<TAB>unit`."""
    figures = []
    for line in text.splitlines():
        fields = line.split("\t")
        try:
            name, value, unit = fields[0], float(fields[1]), fields[2]
        except (IndexError, ValueError):
            raise BadOutput(f"not figure<TAB>value<TAB>unit: {line!r}") from None
        if len(fields) != 3 or not name or not unit:
            raise BadOutput(f"not figure<TAB>value<TAB>unit: {line!r}")
        figures.append((name, value, unit))
    if not figures:
        raise BadOutput("no figure")
    return figures


def more_is_better(unit):
    return unit.endswith("/s")


def shown(value):
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.6f}".rstrip("0")


class Samples:
    """The values of one figure of one side."""

    def __init__(self, values):
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    def __str__(self):
        return f"{shown(self.median)} ({shown(min(self.values))}..{shown(max(self.values))})"


class Results:
    """All samples of a run, and what is told about it."""

    def __init__(self, machine=None):
        self.machine = machine or {}
        self.units = {}    # figure: unit
        self.samples = {}  # (procs, figure): {side: [value]}

    def add(self, procs, side, figures):
        for name, value, unit in figures:
            if self.units.setdefault(name, unit) != unit:
                raise BadOutput(f"{side} prints {name} in {unit}, another side in "
                                f"{self.units[name]}")
            self.samples.setdefault((procs, name), {}).setdefault(side, []).append(value)

    def procs(self):
        return sorted({procs for procs, _ in self.samples})

    def figures(self, procs):
        """[(figure, {side: Samples})] with that many processors, in the order of arrival."""
        return [(name, {side: Samples(values) for side, values in by_side.items()})
                for (its_procs, name), by_side in self.samples.items() if its_procs == procs]

    def ratio(self, procs, figure, side, own="weft"):
        """The medians' ratio own/side; None where there is none."""
        by_side = self.samples.get((procs, figure), {})
        if own not in by_side or side not in by_side:
            return None
        divisor = statistics.median(by_side[side])
        return statistics.median(by_side[own]) / divisor if divisor > 0 else None

    def to_json(self):
        return json.dumps({
            "machine": self.machine,
            "figures": [{"procs": procs, "figure": name, "unit": self.units[name],
                         "samples": by_side}
                        for (procs, name), by_side in self.samples.items()],
        }, indent=1) + "\n"

    @staticmethod
    def from_json(text):
        data = json.loads(text)
        results = Results(data["machine"])
        for entry in data["figures"]:
            results.units[entry["figure"]] = entry["unit"]
            results.samples[entry["procs"], entry["figure"]] = entry["samples"]
        return results
