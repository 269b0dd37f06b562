#!/usr/bin/env python3
"""Measures what the layers cost, prints it beside the goals, and fails where one is missed.

    benches/report.py instructions
"""

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path

BENCHES = Path(__file__).parent
GOALS = tomllib.loads((BENCHES / "goals.toml").read_text())

# What a case is compared with, where it is not the `bare` of its group.
BARE = {"axum_from_fn": "axum_bare"}


def bench(name, *options):
    command = ["cargo", "bench", "--bench", name, "--", *options]
    return subprocess.run(command, cwd=BENCHES.parent, check=True, stdout=subprocess.PIPE, text=True).stdout


def table(head, rows):
    """Prints rows of text; all but the first column are aligned to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [cell.ljust(width) if not i else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        print(f"| {' | '.join(cells)} |")
    print()


def count_instructions():
    """Instructions of each `group::case`, for one time."""
    counts = {}
    for line in bench("instructions", "--output-format=json").splitlines():
        case = json.loads(line)
        times = int(case["details"].lstrip("(").split(",")[0])
        metrics = case["profiles"][0]["summaries"]["total"]["summary"]["Callgrind"]["Ir"]["metrics"]
        # `Both` stands where there was an earlier run, its figures last.
        total = metrics["Left"] if "Left" in metrics else metrics["Both"][0]
        counts[f"{case['function_name']}::{case['id']}"] = total["Int"] / times
    return counts


def verdict(measured, goal):
    """What to say of a goal, and whether it is an error."""
    if measured <= goal["goal"]:
        return ("met; its ceiling can go" if "ceiling" in goal else "met"), False
    if measured <= goal.get("ceiling", 0):
        return f"not met yet, at most {goal['ceiling']}", False
    return "MISSED", True


def instructions():
    counts = count_instructions()
    rows = []
    for name, count in counts.items():
        group, case = name.split("::")
        bare = counts.get(f"{group}::{BARE.get(case, 'bare')}", count)
        rows.append([name, f"{count:.0f}", f"{count - bare:+.0f}", f"{count / bare:.2f}"])
    table(["case", "instructions", "over bare", "ratio"], rows)

    rows, missed = [], False
    for goal in GOALS["instructions"]:
        measured = counts[goal["case"]] - counts[goal["bare"]]
        says, is_error = verdict(measured, goal)
        missed |= is_error
        rows.append([goal["what"], f"{measured:.0f}", f"<= {goal['goal']}", says])
    table(["instructions over bare", "measured", "goal", "verdict"], rows)
    return missed


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=["instructions"])
missed = {"instructions": instructions}[parser.parse_args().what]()
sys.exit(missed)
