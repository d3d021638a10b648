# The tables: on the terminal, in docs/benchmarks.md, and the comparison of a run with the latter.
#
# The page's table stands between the lines BEGIN and END, below a heading `### 1 P / 2 P` that says
# for which numbers of P's each cell has its values: a row for each figure, whose CPU time is a
# column, or a row of its own where the figure has no time. --check reads the columns `weft/PEER`
# and `cpu/PEER` back, and --write writes all of it.

import re

from results import more_is_better, shown

OWN = "weft"
BEGIN = "<!-- written by ./dev bench --write -->"
BEGIN_OVERSUBSCRIBED = "<!-- written by ./dev bench --oversubscribed --write -->"
END = "<!-- end of what is written -->"
BETWEEN = " / "
WORSE_BY = 1.25
# The key of results that are of several numbers of P's.
ALL_PROCS = 0


def peers_of(results):
    peers = []
    for by_side in results.samples.values():
        peers += [side for side in by_side if side != OWN and side not in peers]
    return peers


def ratio_text(ratio):
    return "-" if ratio is None else shown(ratio)


def terminal(results, procs):
    """An aligned table of all figures, CPU times among them, with one number of P's."""
    peers = peers_of(results)
    rows = [["figure", "unit", OWN, *peers, *(f"{OWN}/{peer}" for peer in peers)]]
    for name, by_side in results.figures(procs):
        rows.append([name, results.units[name],
                     *(str(by_side.get(side, "-")) for side in (OWN, *peers)),
                     *(ratio_text(results.ratio(procs, name, peer)) for peer in peers)])
    return aligned(rows)


def aligned(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in rows)


def markdown(results):
    """What stands in the page between BEGIN and END."""
    peers, all_procs = peers_of(results), results.procs()
    header = ["figure", "unit", OWN, *peers]
    for peer in peers:
        header += [f"{OWN}/{peer}", f"cpu/{peer}"]
    lines = [f"{key}: {value}  " for key, value in results.machine.items()]
    lines += ["", "### " + BETWEEN.join(f"{procs} P" for procs in all_procs), "",
              "| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    by_procs = {procs: dict(results.figures(procs)) for procs in all_procs}
    names = list(dict.fromkeys(name for figures in by_procs.values() for name in figures))
    for name in names:
        if name.endswith(".cpu") and name[:-len(".cpu")] in names:
            continue
        row = [name, results.units[name]]
        for side in (OWN, *peers):
            row.append(BETWEEN.join(str(by_procs[procs].get(name, {}).get(side, "-"))
                                    for procs in all_procs))
        for peer in peers:
            for figure in (name, name + ".cpu"):
                row.append(BETWEEN.join(ratio_text(results.ratio(procs, figure, peer))
                                        for procs in all_procs))
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines).strip("\n") + "\n"


def written(page, text, begin=BEGIN):
    """The page with this text between the lines `begin` and END."""
    before, found, rest = page.partition(begin + "\n")
    _, end, after = rest.partition(END)
    if not found or not end:
        raise ValueError(f"no lines {begin!r} and {END!r} in the page")
    return before + begin + "\n" + text + END + after


def label(procs):
    return f"{procs} P"


def oversubscribed(results):
    """The rows of a table: each figure with few and many P's, and the ratios to the fewest."""
    figures = results.figures(ALL_PROCS)
    labels = list(dict.fromkeys(side for _, by_side in figures for side in by_side))
    rows = [["figure", "unit", *labels, *(f"{many}/{labels[0]}" for many in labels[1:])]]
    for name, by_side in figures:
        rows.append([name, results.units[name], *(str(by_side.get(side, "-")) for side in labels),
                     *(ratio_text(results.ratio(ALL_PROCS, name, labels[0], own=many))
                       for many in labels[1:])])
    return rows


def oversubscribed_page(results):
    header, *rows = oversubscribed(results)
    lines = [f"{key}: {value}  " for key, value in results.machine.items()]
    lines += ["", "| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def slower_with_many(results):
    """What takes more than a quarter longer with many P's, in words."""
    for name, by_side in results.figures(ALL_PROCS):
        few, *others = by_side
        for many in others:
            ratio = results.ratio(ALL_PROCS, name, few, own=many)
            if not name.endswith(".cpu") and ratio is not None and ratio > WORSE_BY:
                yield f"{name}: {shown(ratio)} times as long with {many} as with {few}"


def recorded(page):
    """{(procs, figure, peer): (ratio, unit)} of a page; the CPU times are figures `NAME.cpu`."""
    ratios = {}
    all_procs, header = [], []
    inside = page.partition(BEGIN)[2].partition(END)[0]
    for line in inside.splitlines():
        if line.startswith("### "):
            all_procs, header = [int(n) for n in re.findall(r"\d+", line)], []
        if not line.startswith("|") or line.startswith("|---"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not header:
            header = cells
            continue
        row = dict(zip(header, cells))
        for column, cell in row.items():
            kind, slash, peer = column.partition("/")
            if not slash:
                continue
            figure = row["figure"] + (".cpu" if kind == "cpu" else "")
            for procs, ratio in zip(all_procs, cell.split(BETWEEN)):
                if ratio != "-":
                    ratios[procs, figure, peer] = (float(ratio.replace(",", "")), row["unit"])
    return ratios


def got_worse(page, results):
    """(how many ratios were compared, what got worse by more than a quarter)."""
    compared, worse = 0, []
    for (procs, figure, peer), (then, unit) in recorded(page).items():
        now = results.ratio(procs, figure, peer)
        if now is None:
            continue
        compared += 1
        # A CPU time is less of a cost for less of it, whatever the figure's own unit.
        up_is_worse = figure.endswith(".cpu") or not more_is_better(unit)
        if (now > then * WORSE_BY) if up_is_worse else (now * WORSE_BY < then):
            worse.append(f"{figure}, {procs} P: {OWN}/{peer} is {shown(now)}, was {shown(then)}")
    return compared, worse
