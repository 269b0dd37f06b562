#!/usr/bin/env python3
"""Measures what the layers cost, beside their peers, and compares it with `goals.toml`.

    benches/report.py instructions      fails where a goal is missed; needs valgrind and gungraun-runner
    benches/report.py proxy             through a real proxy; needs valgrind
    benches/report.py times [--quick]   never fails, since times are noisy
"""

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from proxy import drive

BENCHES = Path(__file__).parent
GOALS = tomllib.loads((BENCHES / "goals.toml").read_text())

# Cases that are compared with another than the `bare` of their group.
BARE = {
    "axum_from_fn": "axum_bare",
    "router, identity": "router",
    "router, from_fn": "router",
    "router, layers": "router",
}


def cargo(*arguments):
    command = subprocess.run(["cargo", *arguments], cwd=BENCHES.parent, check=True, stdout=subprocess.PIPE, text=True)
    return command.stdout


def cargo_target():
    return Path(json.loads(cargo("metadata", "--no-deps", "--format-version=1"))["target_directory"])


def table(head, rows):
    """Prints rows of text; all but the first column are aligned to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [cell.ljust(width) if not i else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        print(f"| {' | '.join(cells)} |")
    print()


def print_cases(figures, unit):
    rows = []
    for name, figure in figures.items():
        group, case = name.split("::")
        bare = figures.get(f"{group}::{BARE.get(case, 'bare')}", figure)
        rows.append([name, f"{figure:,.1f}", f"{figure - bare:+,.1f}", f"{figure / bare:.3f}"])
    table(["case", unit, "over bare", "ratio"], rows)


def print_goals(figures, goals, missing="MISSED"):
    """Whether one was missed."""
    rows, missed = [], False
    for goal in goals:
        less = figures[goal["less"]] if "less" in goal else 0
        figure = figures[goal["case"]] - less
        if "over" in goal:
            figure /= figures[goal["over"]] - less
        wanted, sign, met = goal["goal"], "<=", figure <= goal["goal"]
        if "bytes" in goal:
            figure = goal["bytes"] / figure
            sign, met = ">=", figure >= wanted
        says = "met" if met else missing
        if met and "ceiling" in goal:
            says = "met: remove its ceiling"
        elif not met and figure <= goal.get("ceiling", -1):
            says = f"not met yet, at most {goal['ceiling']:,}"
        missed |= says == missing
        rows.append([goal["what"], f"{figure:,.3f}", f"{sign} {wanted:g}", says])
    table(["goal", "measured", "wanted", "verdict"], rows)
    return missed


def instructions(_):
    figures = {}
    for line in cargo("bench", "--bench", "instructions", "--", "--output-format=json").splitlines():
        case = json.loads(line)
        times = int(case["details"].lstrip("(").split(",")[0])
        metrics = case["profiles"][0]["summaries"]["total"]["summary"]["Callgrind"]["Ir"]["metrics"]
        # `Both` stands where there was an earlier run, whose figure is the second.
        total = metrics["Left"] if "Left" in metrics else metrics["Both"][0]
        figures[f"{case['function_name']}::{case['id']}"] = total["Int"] / times
    print_cases(figures, "instructions")
    return print_goals(figures, GOALS["instructions"])


def proxy(_):
    target = cargo_target()
    cargo("build", "--release", "--example", "bench_proxy")
    figures = drive.measure(target / "release/examples/bench_proxy")
    print_cases(figures, "a request, or bytes")
    return print_goals(figures, GOALS["proxy"])


def times(options):
    results = cargo_target() / "criterion"
    shutil.rmtree(results, ignore_errors=True)
    quick = ["--quick", "--measurement-time=0.5"] if options.quick else []
    cargo("bench", "--bench", "times", "--", "--noplot", *quick)
    figures = {}
    for file in sorted(results.glob("*/*/new/sample.json")):
        sample = json.loads(file.read_text())
        each = sorted(time / count for time, count in zip(sample["times"], sample["iters"]))
        # The fastest tenth: what else runs on the machine only ever adds to a time.
        figures["::".join(file.parts[-4:-2])] = each[len(each) // 10]
    print_cases(figures, "ns")
    print_goals(figures, GOALS["times"], missing="not met")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=["instructions", "proxy", "times"])
parser.add_argument("--quick", action="store_true", help="a glance, in less than a minute")
options = parser.parse_args()
sys.exit({"instructions": instructions, "proxy": proxy, "times": times}[options.what](options))
