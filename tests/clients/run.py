#!/usr/bin/env python3
"""Calls the real SDKs of the providers through the gateway, with an upstream that fails in every way.

run.py --gateway PATH     starts the example gateway before each part and stops it after
run.py --direct           calls the upstream without a gateway: counts what clients suffer today

Needs the packages of requirements.txt, and for the SDKs for Node a folder with those of node/package.json.
With --readme and --check-readme it does both. Exit code 1 if any cell differs, or the table does.
"""

import argparse
import os
import sys

import expect
import node_surfaces
import raw
import readme
from cells import NUMBER, bridging_jobs, fault_jobs, refused_jobs
from gateway import gateway, together
from surfaces import SURFACES
from upstream import Upstream

STALL_MS = 1000
BROKEN = [fault for fault in expect.FAULTS if fault not in expect.BY_CATEGORY]
STALLS = [fault for fault in BROKEN if fault.startswith("stall")]
OTHERS = [fault for fault in BROKEN if fault not in STALLS]
# Callers at a time, where calls do little but wait.
MANY = 64


def load(upstream, surfaces):
    """Calls everything once, off the record: an SDK loads most of itself in its first call, which takes seconds."""
    for surface in surfaces:
        for flavour in surface.flavours:
            surface.call(upstream.url, f"ok.{next(NUMBER)}", flavour, retries=0)


def said(cells):
    """The cells, each printed as soon as it is known."""
    for cell in cells:
        print(cell, flush=True)
        yield cell


def through(path, upstream, surfaces, transports):
    """Every call, through a gateway."""
    to = ("--upstream", upstream.url)
    with gateway(path, *to) as base:
        yield from together(fault_jobs(base, upstream, surfaces, expect.BY_CATEGORY), MANY)
        yield from together(fault_jobs(base, upstream, surfaces, OTHERS))
        yield from together(raw.jobs(base, upstream, False, transports))
    with gateway(path, *to, "--idle-timeout-ms", str(STALL_MS), "--first-event-timeout-ms", str(STALL_MS)) as base:
        yield from together(fault_jobs(base, upstream, surfaces, STALLS), MANY)
        yield from together(raw.jobs(base, upstream, True, transports))
    with gateway(path, "--warm-up-ms", "60000") as base:
        yield from together(refused_jobs(base, surfaces))
    with gateway(path, "--warm-up-ms", "3000") as base:
        yield from together(bridging_jobs(base, surfaces), MANY)


def direct(upstream, surfaces):
    """The calls whose failure is more than a status, straight to the upstream."""
    yield from together(fault_jobs(upstream.url, upstream, surfaces, BROKEN), MANY)


def table(cells):
    """Dialect by fault, one column a client."""
    for path in dict.fromkeys(cell.path for cell in cells):
        here = [cell for cell in cells if cell.path == path]
        clients = list(dict.fromkeys(cell.client for cell in here))
        marks = {(cell.fault, cell.client): cell.mark for cell in here}
        rows = [[path, *clients]]
        for fault in dict.fromkeys(cell.fault for cell in here):
            rows.append([fault, *(marks.get((fault, client), "-") for client in clients)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        print()
        for row in rows:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def summary(cells):
    failed = [cell for cell in cells if cell.wrong]
    silent = sum(cell.silent for cell in failed)
    print(f"\nof {len(cells)} calls {silent} ended silently, {len(failed) - silent} were wrong in another way")
    print(f"{len(cells) - len(failed)} passed, {len(failed)} failed", flush=True)
    return not failed


def readme_agrees(chosen, cells, without):
    """Writes the table of the README, or says how it differs."""
    section = readme.section(cells, without, chosen.node)
    if chosen.readme:
        readme.write(chosen.readme, section)
    difference = readme.difference(chosen.check_readme, section) if chosen.check_readme else ""
    print(difference)
    return not difference


def arguments():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--gateway", metavar="PATH", help="the built example")
    what.add_argument("--direct", action="store_true", help="no gateway: expect failures")
    options.add_argument("--node", metavar="FOLDER", help="where the SDKs for Node are")
    options.add_argument("--repeat", type=int, default=1, metavar="N", help="run everything N times")
    options.add_argument("--readme", metavar="FILE", help="write the table of clients into this file")
    options.add_argument("--check-readme", metavar="FILE", help="fail if the table in this file is another")
    return options.parse_args()


def main():
    chosen = arguments()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    surfaces = SURFACES + (node_surfaces.surfaces(chosen.node) if chosen.node else [])
    upstream = Upstream()
    load(upstream, surfaces)
    right = True
    for _ in range(chosen.repeat):
        calls = direct(upstream, surfaces) if chosen.direct else through(chosen.gateway, upstream, surfaces, raw.transports())
        cells = list(said(calls))
        table(cells)
        right &= summary(cells)
    if chosen.readme or chosen.check_readme:
        print("\nwithout the gateway:")
        without = list(direct(upstream, surfaces))
        summary(without)
        right &= right and readme_agrees(chosen, cells, without)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
