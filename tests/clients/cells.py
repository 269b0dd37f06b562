"""One fault met by one client: called, and judged."""

import itertools
import re
from dataclasses import dataclass, field

import expect
from raised import class_of, headers_of
from surfaces import EMBEDDINGS

# No call has a reason to take so many seconds, pauses that were asked for aside, even on a busy machine.
SLOW = 8
NUMBER = itertools.count()


@dataclass
class Cell:
    """What came of one call: `raised` is the class, None for an answer."""

    path: str
    fault: str
    client: str
    sdk: str
    raised: str | None = None
    wrong: list = field(default_factory=list)

    def __str__(self):
        verdict = "ok" if not self.wrong else "DIFFERS: " + "; ".join(self.wrong)
        return f"{self.path} | {self.fault} | {self.client}: {verdict}"

    @property
    def mark(self):
        return "ok" if not self.wrong else re.split(r"[ ,]", self.wrong[0])[0]

    @property
    def silent(self):
        return self.wrong[:1] == ["SILENT"]


def cell_of(surface, fault, flavour, error, wrong):
    raised = class_of(error) if error else None
    return Cell(surface.path, fault, surface.label(flavour), surface.sdk, raised, wrong)


def meets_fault(base, upstream, surface, fault, flavour):
    model = f"{fault}.{next(NUMBER)}"
    failure = expect.expected(surface, fault)
    retried = fault in expect.REFUSED or fault == "429_once"
    text, last, error, took = surface.call(base, model, flavour, retries=2 if retried else 0)
    wrong = expect.differs(surface, failure, model, text, last, error)
    seen = upstream.seen[model]
    wrong += expect.requests_differ(surface, fault, failure, seen)
    if took > SLOW + (seen[-1] - seen[0] if seen else 0):
        wrong.append(f"took {took:.1f} s")
    return cell_of(surface, fault, flavour, error, wrong)


def fault_jobs(base, upstream, surfaces, faults):
    for fault, surface in itertools.product(faults, surfaces):
        for flavour in flavours(surface, fault) if fault in expect.table_of(surface) else ():
            yield meets_fault, base, upstream, surface, fault, flavour


def flavours(surface, fault):
    """Errors of every category are read in the same way by both clients of an SDK: one of them is enough."""
    if fault not in expect.BY_CATEGORY:
        return surface.flavours
    return surface.flavours[:1] if surface.kind == "whole" else surface.flavours[-1:]


def refused_jobs(base, surfaces):
    """Calls to a gateway whose own simulated provider is still warming up."""
    for surface in surfaces:
        for flavour in surface.flavours if surface.path != EMBEDDINGS else ():
            yield is_refused, base, surface, flavour


def bridging_jobs(base, surfaces):
    """Calls to such a gateway with enough patience."""
    for surface in surfaces:
        for flavour in surface.flavours if surface.name in ("chat stream", "responses whole", "messages helper") else ():
            yield bridges, base, surface, flavour


def is_refused(base, surface, flavour):
    text, last, error, _ = surface.call(base, "sim-ok", flavour, retries=0)
    failure = expect.Failure(503, "model_not_ready", "readiness")
    wrong = expect.differs(surface, failure, "sim-ok", text, last, error)
    headers = headers_of(error)
    if headers is not None and not 1 <= int(headers.get("retry-after", 0)) <= 59:
        wrong.append(f"retry-after {headers.get('retry-after')!r}")
    return cell_of(surface, "warming up", flavour, error, wrong)


def bridges(base, surface, flavour):
    """The SDK's own retries bridge the warm-up; the answer is the simulated provider's."""
    text, _, error, took = surface.call(base, "sim-ok", flavour, retries=5)
    wrong = [] if error is None and text else [f"{error!r} after {text!r}"]
    if took < 1:
        wrong.append(f"took {took:.1f} s: it was not warming up")
    return cell_of(surface, "warm-up bridged", flavour, error, wrong)
