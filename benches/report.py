#!/usr/bin/env python3
"""Measures what the layers cost, beside their peers, and compares it with `goals.toml`.

    benches/report.py instructions      under valgrind; needs gungraun-runner
    benches/report.py allocations       counted by `tests/alloc.rs`
    benches/report.py proxy             through a real proxy, under valgrind
    benches/report.py times [--quick]
    benches/report.py all [--write]     all of them; `--write` puts tables and pictures into PERFORMANCE.md

Fails where a goal is missed, but for times, which are noisy.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import median

from proxy import drive

BENCHES = Path(__file__).parent
PERFORMANCE = BENCHES.parent / "PERFORMANCE.md"
GOALS = tomllib.loads((BENCHES / "goals.toml").read_text())

# Cases that are compared with another than the `bare` of their group.
BARE = {
    "axum_from_fn": "axum_bare",
    "router, identity": "router",
    "router, from_fn": "router",
    "router, layers": "router",
}

# Groups that PERFORMANCE.md has a picture of.
PICTURES = ["oneshot", "sse_one_event_a_frame"]

GOALS_HEAD = ["goal", "measured", "wanted", "verdict"]


def cargo(*arguments):
    command = subprocess.run(["cargo", *arguments], cwd=BENCHES.parent, check=True, stdout=subprocess.PIPE, text=True)
    return command.stdout


def cargo_target():
    return Path(json.loads(cargo("metadata", "--no-deps", "--format-version=1"))["target_directory"])


def table(head, rows):
    """Rows of text; all but the first column are aligned to the right."""
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    cells = ([cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))] for row in rows)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def all_cases(figures, unit):
    """Every case beside the bare one of its group, to be unfolded."""
    rows = []
    for name, figure in figures.items():
        group, case = name.split("::")
        bare = figures.get(f"{group}::{BARE.get(case, 'bare')}", figure)
        rows.append([name, f"{figure:,.1f}", f"{figure - bare:+,.1f}", f"{figure / bare:.3f}"])
    cases = table(["case", unit, "over bare", "ratio"], rows)
    return f"<details><summary>all cases</summary>\n\n{cases}\n</details>\n"


def figure_of(goal, figures):
    less = figures[goal["less"]] if "less" in goal else 0
    figure = figures[goal["case"]] - less
    if "over" in goal:
        figure /= figures[goal["over"]] - less
    return goal["bytes"] / figure if "bytes" in goal else figure


def compare(rounds, goals, missing="MISSED"):
    """The goals, each by the median of the rounds, and whether one was missed."""
    rows, missed = [], False
    for goal in goals:
        figure = median(figure_of(goal, figures) for figures in rounds)
        sign, met = "<=", figure <= goal["goal"]
        if "bytes" in goal:
            sign, met = ">=", figure >= goal["goal"]
        verdict = "met" if met else missing
        if not met and figure <= goal.get("ceiling", -1):
            verdict = f"not met yet, at most {goal['ceiling']:,}"
        missed |= verdict == "MISSED"
        rows.append([goal["what"], f"{figure:,.3f}", f"{sign} {goal['goal']:g}", verdict])
    return table(GOALS_HEAD, rows), missed


def instructions(_):
    figures = {}
    for line in cargo("bench", "--bench", "instructions", "--", "--output-format=json").splitlines():
        case = json.loads(line)
        times = int(case["details"].lstrip("(").split(",")[0])
        metrics = case["profiles"][0]["summaries"]["total"]["summary"]["Callgrind"]["Ir"]["metrics"]
        # `Both` stands where there was an earlier run, whose figure is the second.
        total = metrics["Left"] if "Left" in metrics else metrics["Both"][0]
        figures[f"{case['function_name']}::{case['id']}"] = total["Int"] / times
    goals, missed = compare([figures], GOALS["instructions"])
    return f"{goals}\n{all_cases(figures, 'instructions')}", missed


def allocations(_):
    # Its goals stand in the tests themselves, which fail if one is missed.
    command = ["cargo", "test", "--release", "--test", "alloc", "--", "--nocapture", "--test-threads=1"]
    tests = subprocess.run(command, cwd=BENCHES.parent, stdout=subprocess.PIPE, text=True)
    rows = [line.strip("| ").split(" | ") for line in re.findall(r"\| .* \|$", tests.stdout, re.MULTILINE)]
    return table(GOALS_HEAD, rows), tests.returncode != 0


def proxy(_):
    cargo("build", "--release", "--example", "bench_proxy")
    figures = drive.measure(cargo_target() / "release/examples/bench_proxy")
    goals, missed = compare([figures], GOALS["proxy"])
    return f"{goals}\n{all_cases(figures, 'instructions, or bytes')}", missed


def time_all():
    results = cargo_target() / "criterion"
    shutil.rmtree(results, ignore_errors=True)
    cargo("bench", "--bench", "times", "--", "--noplot", "--quick", "--measurement-time=0.3")
    figures = {}
    for file in results.glob("*/*/new/sample.json"):
        sample = json.loads(file.read_text())
        each = [time / count for time, count in zip(sample["times"], sample["iters"])]
        # What else runs on the machine only ever adds to a time.
        figures["::".join(file.parts[-4:-2])] = min(each)
    return figures


def times(options):
    # Ratios of what ran a minute apart are worth little, the median of several rounds is worth more.
    rounds = [time_all() for _ in range(1 if options.quick else 5)]
    goals, _ = compare(rounds, GOALS["times"], missing="not met")
    medians = {name: median(figures[name] for figures in rounds) for name in sorted(rounds[0])}
    return f"{goals}\n{all_cases(medians, 'ns')}", False


def draw():
    """Criterion's pictures, from a run of their own: short ones have too few samples."""
    cargo("bench", "--bench", "times", "--", f"^({'|'.join(PICTURES)})/")
    for group in PICTURES:
        shutil.copy(cargo_target() / "criterion" / group / "report/violin.svg", BENCHES / f"plots/{group}.svg")


def write(name, text):
    """Puts a table where PERFORMANCE.md has a place for it."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    page = PERFORMANCE.read_text()
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    PERFORMANCE.write_text(f"{before}{begin}{text}{end}{after}")


MEASURES = {"instructions": instructions, "allocations": allocations, "proxy": proxy, "times": times}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=[*MEASURES, "all"])
parser.add_argument("--quick", action="store_true", help="times at a glance, in less than a minute")
parser.add_argument("--write", action="store_true", help="put tables and pictures into PERFORMANCE.md")
options = parser.parse_args()
any_missed = False
for name in MEASURES if options.what == "all" else [options.what]:
    text, missed = MEASURES[name](options)
    any_missed |= missed
    print(f"{text}\n", flush=True)
    if options.write:
        write(name, text)
        if name == "times":
            draw()
sys.exit(any_missed)
