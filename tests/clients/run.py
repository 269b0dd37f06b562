#!/usr/bin/env python3
"""Calls the real SDKs of the providers through the gateway, with an upstream that fails in every way.

run.py --gateway PATH     starts the example gateway before each part and stops it after
run.py --direct           calls the upstream without a gateway: counts what clients suffer today

Needs the packages of requirements.txt. Exit code 1 if any cell differs.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import expect
from raised import headers_of
from surfaces import CHAT, COHERE, EMBEDDINGS, GEMINI, MESSAGES, OLLAMA, RESPONSES, SURFACES
from upstream import Upstream

CALL_TIMEOUT = 10
# No call has a reason to take so many seconds: stalls are noticed after one, the longest pause asked for is two.
SLOW = 5
STALL_MS = 1000
WARM_UP_MS = 4000
NUMBER = itertools.count()
RAW = [CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA, COHERE]


@dataclass
class Cell:
    """One fault met by one client."""

    path: str
    fault: str
    client: str
    wrong: list = field(default_factory=list)

    def __str__(self):
        verdict = "ok" if not self.wrong else "DIFFERS: " + "; ".join(self.wrong)
        return f"{self.path} | {self.fault} | {self.client}: {verdict}"

    @property
    def mark(self):
        return "ok" if not self.wrong else re.split(r"[ ,]", self.wrong[0])[0]


@contextmanager
def gateway(path, *options):
    """A running gateway; a panic in it fails the run."""
    with tempfile.TemporaryFile("w+") as log:
        command = [path, "--listen", "127.0.0.1:0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            line = process.stdout.readline()
            if not line.startswith("listening on http://"):
                log.seek(0)
                sys.exit(f"{' '.join(command)} did not start: {line!r}\n{log.read()}")
            yield line.split()[-1]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        log.seek(0)
        if "panicked" in (said := log.read()):
            sys.exit(f"the gateway panicked:\n{said}")


def report(loop, context):
    """As asyncio does, but for the generators that google-genai leaves open when it raises."""
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


def call(surface, base, model, asynchronous, retries):
    """Drives one call to its end: the text, a last event that is no text, the exception, the seconds that it took."""
    out, error, begin = [], None, time.monotonic()
    options = {"retries": retries, "timeout": CALL_TIMEOUT}

    async def drive():
        asyncio.get_running_loop().set_exception_handler(report)
        async with surface.client(base, True, **options) as client:
            await surface.run_async(client, model, out)

    try:
        if asynchronous:
            asyncio.run(drive())
        else:
            with surface.client(base, False, **options) as client:
                surface.run(client, model, out)
    except Exception as raised:  # noqa: BLE001, whatever it is, it is the finding
        error = raised
    last = out.pop() if out and not isinstance(out[-1], str) else None
    return "".join(out), last, error, time.monotonic() - begin


def load(upstream):
    """Calls everything once, off the record: an SDK loads most of itself in its first call, which takes seconds."""
    for surface, asynchronous in itertools.product(SURFACES, (False, True)):
        call(surface, upstream.url, f"ok.{next(NUMBER)}", asynchronous, retries=0)


def sdk_cell(base, upstream, surface, fault, asynchronous):
    model = f"{fault}.{next(NUMBER)}"
    failure = expect.expected(surface, fault)
    retried = fault in expect.REFUSED or fault == "429_once"
    text, last, error, took = call(surface, base, model, asynchronous, retries=2 if retried else 0)
    wrong = expect.differs(surface, failure, model, text, last, error)
    seen = upstream.seen[model]
    wrong += expect.requests_differ(surface, fault, failure, seen)
    if took > SLOW + seen[-1] - seen[0]:
        wrong.append(f"took {took:.1f} s")
    return Cell(surface.path, fault, surface.name + (" async" if asynchronous else ""), wrong)


def payload(path, model, stream):
    prompt = {"input": "count"} if path in (RESPONSES, EMBEDDINGS) else {"messages": [{"role": "user", "content": "count"}]}
    return json.dumps({"model": model, "stream": stream, "max_tokens": 64, **prompt})


def target(path, model, stream):
    """Gemini's path says what the others say in their bodies."""
    return f"{path}/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent") if path == GEMINI else path


HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-client", "anthropic-version": "2023-06-01"}


def over_http1(base, path, body):
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=CALL_TIMEOUT)
    try:
        connection.request("POST", path, body, HEADERS)
        response = connection.getresponse()
        return response.status, response.headers.get("content-type"), response.read()
    finally:
        connection.close()


def over_http2(base, path, body):
    headers = [argument for name, value in HEADERS.items() for argument in ("-H", f"{name}: {value}")]
    with tempfile.NamedTemporaryFile() as out:
        command = ["curl", "-sS", "--http2-prior-knowledge", "--noproxy", "*", "--max-time", str(CALL_TIMEOUT), "-X", "POST"]
        report = ["-o", out.name, "-w", "%{http_version} %{http_code} %{content_type}", "--data-binary", body, base + path]
        done = subprocess.run(command + headers + report, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())
        version, status, content_type = done.stdout.split(" ", 2)
        if version != "2":
            raise OSError(f"HTTP/{version}")
        return int(status), content_type, out.read()


def raw_cell(base, upstream, path, fault, transport):
    """The bytes on the wire: identical when healthy, well-formed to the end when broken."""
    streamed = fault != "ok_whole"
    model = f"{fault}.{next(NUMBER)}"
    cell = Cell(path, fault, "raw " + transport.__name__.removeprefix("over_"))
    try:
        status, content_type, body = transport(base, target(path, model, streamed), payload(path, model, streamed))
    except (OSError, http.client.HTTPException) as error:
        cell.wrong.append(f"{type(error).__name__} {error}")
        return cell
    if status != 200 or content_type != (expect.APIS[path].content_type if streamed else "application/json"):
        cell.wrong.append(f"{status} {content_type}")
    if fault.startswith("ok"):
        if body != bytes(upstream.sent[model]):
            cell.wrong.append(f"body is not the upstream's: {body[:200]!r}")
    else:
        failure = expect.failure_of(expect.STREAMS, fault, path)
        cell.wrong += expect.bytes_differ(path, failure, model, body)
    return cell


def fault_cells(base, upstream, stalls, http2):
    """The calls of one part: those that need short time-outs, or the others."""
    for fault in expect.FAULTS:
        if fault.startswith("stall") != stalls:
            continue
        for surface in SURFACES:
            table = expect.WHOLES if surface.kind == "whole" else expect.STREAMS
            # A refusal is read in the same way by both clients of an SDK: one of them is enough.
            both = (surface.kind != "whole",) if fault in expect.REFUSED else (False, True)
            for asynchronous in both if fault in table else ():
                yield sdk_cell, base, upstream, surface, fault, asynchronous
    for path in RAW:
        for fault, transport in itertools.product(raw_faults(path, stalls), (over_http1, over_http2) if http2 else (over_http1,)):
            yield raw_cell, base, upstream, path, fault, transport


def raw_faults(path, stalls):
    """Ollama's lines know no comments; Cohere's body fails after its last word, so that no library hands it out."""
    healthy = ["ok", "ok_split", "ok_whole"] + (["ok_comments"] if path != OLLAMA else [])
    broken = [fault for fault in expect.STREAMS if fault.endswith("_3") and fault.startswith("stall") == stalls]
    return ([] if stalls else healthy) + (broken if path != COHERE else [])


def warm_up_cells(base):
    """Calls to a gateway whose own simulated provider is still warming up."""
    for surface, asynchronous in itertools.product(SURFACES, (False, True)):
        if surface.path != EMBEDDINGS:
            yield refused_cell, base, surface, asynchronous
    for surface, asynchronous in itertools.product(SURFACES, (False, True)):
        if surface.name in ("chat stream", "responses whole", "messages helper"):
            yield recovers_cell, base, surface, asynchronous


def refused_cell(base, surface, asynchronous):
    text, last, error, took = call(surface, base, "sim-ok", asynchronous, retries=0)
    failure = expect.Failure(503, "model_not_ready", "readiness")
    wrong = expect.differs(surface, failure, "sim-ok", text, last, error)
    headers = headers_of(error)
    if headers is not None and not 1 <= int(headers.get("retry-after", 0)) <= 59:
        wrong.append(f"retry-after {headers.get('retry-after')!r}")
    if took > 2:
        wrong.append(f"took {took:.1f} s")
    return Cell(surface.path, "warming up", surface.name + (" async" if asynchronous else ""), wrong)


def recovers_cell(base, surface, asynchronous):
    """The SDK's own retries bridge the warm-up; the answer is the simulated provider's."""
    text, _, error, took = call(surface, base, "sim-ok", asynchronous, retries=5)
    wrong = [] if error is None and text else [f"{error!r} after {text!r}"]
    if took < 1:
        wrong.append(f"took {took:.1f} s: it was not warming up")
    return Cell(surface.path, "warm-up bridged", surface.name + (" async" if asynchronous else ""), wrong)


def run(cells, workers=32):
    """Runs the calls beside one another, which is how a gateway is used."""
    with ThreadPoolExecutor(workers) as pool:
        for cell in pool.map(lambda job: job[0](*job[1:]), list(cells)):
            print(cell, flush=True)
            yield cell


def all_cells(path, upstream, http2):
    to = ("--upstream", upstream.url)
    with gateway(path, *to) as base:
        yield from run(fault_cells(base, upstream, False, http2))
    with gateway(path, *to, "--idle-timeout-ms", str(STALL_MS), "--first-event-timeout-ms", str(STALL_MS)) as base:
        yield from run(fault_cells(base, upstream, True, http2))
    with gateway(path, "--warm-up-ms", str(WARM_UP_MS)) as base:
        yield from run(warm_up_cells(base), workers=64)


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


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--gateway", metavar="PATH", help="the built example")
    what.add_argument("--direct", action="store_true", help="no gateway: expect failures")
    options.add_argument("--repeat", type=int, default=1, metavar="N", help="run everything N times")
    chosen = options.parse_args()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    curl = shutil.which("curl")
    http2 = bool(curl) and "HTTP2" in subprocess.run([curl, "--version"], capture_output=True, text=True, check=True).stdout
    if not http2:
        print("HTTP/2: skipped, no curl that speaks it")
    upstream, cells = Upstream(), []
    load(upstream)
    for _ in range(chosen.repeat):
        if chosen.direct:
            for stalls in (False, True):
                cells += run(fault_cells(upstream.url, upstream, stalls, http2=False))
        else:
            cells += all_cells(chosen.gateway, upstream, http2)
    table(cells)
    failed = [cell for cell in cells if cell.wrong]
    silent = sum(cell.mark == "SILENT" for cell in failed)
    print(f"\nof {len(cells)} calls {silent} ended silently, {len(failed) - silent} were wrong in another way")
    print(f"{len(cells) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
