#!/usr/bin/env python3
"""Kills and restarts an upstream under load, and times the gate. Standard library and wrk only.

run.py --gateway PATH [--seconds N]
"""

import argparse
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
PERIOD, TIMEOUT, FAILURES, SUCCESSES = 0.2, 0.2, 3, 2
# What the machine may add: a process that starts, a thread that is not scheduled.
SLACK = 0.5

failed = passed = 0


def check(name, good, found):
    global failed, passed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok  ' if good else 'FAIL'} {name}: {found}", flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Upstream:
    def __init__(self):
        self.port = free_port()
        self.start()

    def start(self, *mode):
        self.process = subprocess.Popen([sys.executable, HERE / "upstream.py", str(self.port), *mode])
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 0.1).close()
            except OSError:
                time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Gateway:
    def __init__(self, path, upstream, *options):
        probe = ["--probe-path", "/health", "--probe-interval-ms", PERIOD * 1000, "--probe-timeout-ms", TIMEOUT * 1000,
                 "--failure-threshold", FAILURES, "--success-threshold", SUCCESSES]
        probe = [str(int(x)) if isinstance(x, float) else str(x) for x in probe]
        self.process = subprocess.Popen(
            [path, "--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{upstream.port}", "--models", "m", *probe, *options],
            stdout=subprocess.PIPE, text=True)
        self.url = re.search(r"http://\S+", self.process.stdout.readline())[0]
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.url + "/ready", timeout=1).status == 200
        except urllib.error.HTTPError:
            return False

    def wait(self, ready, at_most):
        """How long it took until the gate was so; None if it did not happen."""
        begin = time.monotonic()
        while time.monotonic() - begin < at_most:
            if self.is_ready() == ready:
                return time.monotonic() - begin
            time.sleep(0.005)
        return None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


def load(gateway, seconds):
    return subprocess.Popen(["wrk", "-c", "64", "-t", "2", "-d", f"{seconds}s", "--timeout", "10s", "-s", HERE / "check.lua", gateway.url],
                            stdout=subprocess.PIPE, text=True)


def result(wrk):
    return json.loads(re.search(r"RESULT (.*)", wrk.communicate()[0])[1])


def shown(seconds):
    return "never" if seconds is None else f"{seconds * 1000:.0f} ms"


def restarts(path, seconds):
    upstream = Upstream()
    gateway = Gateway(path, upstream)
    check("opens after a start", gateway.wait(True, 5) is not None, "ready")
    wrk = load(gateway, seconds)
    closes, opens = [], []
    end = time.monotonic() + seconds - 4
    while time.monotonic() < end:
        time.sleep(1)
        upstream.kill()
        closes.append(gateway.wait(False, 5))
        time.sleep(0.5)
        upstream.start()
        opens.append(gateway.wait(True, 5))
    counts = result(wrk)
    limit = FAILURES * PERIOD * 1.1 + TIMEOUT + SLACK
    check(f"closes within {limit:.2f} s of a kill", all(t is not None and t <= limit for t in closes), [shown(t) for t in closes])
    limit = SUCCESSES * PERIOD * 1.1 + TIMEOUT + SLACK
    check(f"opens within {limit:.2f} s of a restart", all(t is not None and t <= limit for t in opens), [shown(t) for t in opens])
    check("every answer is right or an error in the dialect", counts["wrong"] == 0 and counts["right"] > 0, counts)
    lost = counts["connect"] + counts["read"] + counts["write"] + counts["timeout"]
    check("no request is without an answer", lost == 0, f"{lost} lost")
    upstream.kill()
    upstream.start("--hang")
    limit = FAILURES * (PERIOD * 1.1 + TIMEOUT) + SLACK
    gateway.wait(True, 1)
    check("an upstream that accepts and never answers closes the gate", not gateway.is_ready() or gateway.wait(False, limit) is not None, "closed")
    check("stops on SIGTERM", gateway.stop() == 0, "exit 0")
    upstream.kill()


def held(path):
    """A restart of 2 s, with requests that come only after the gate has closed."""
    upstream = Upstream()
    gateway = Gateway(path, upstream, "--hold-ms", "5000", "--hold-max", "10000")
    gateway.wait(True, 5)
    upstream.kill()
    closed = gateway.wait(False, 5)
    check("closes, so that requests are held", closed is not None, shown(closed))
    wrk = load(gateway, 6)
    time.sleep(2)
    upstream.start()
    counts = result(wrk)
    lost = counts["connect"] + counts["read"] + counts["write"] + counts["timeout"] + counts["refused"] + counts["failed"] + counts["wrong"]
    check("no request that comes after the gate has closed is lost", lost == 0 and counts["right"] > 0, counts)
    gateway.stop()
    upstream.kill()


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--gateway", required=True)
    ap.add_argument("--seconds", type=int, default=20)
    a = ap.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed")
    restarts(a.gateway, a.seconds)
    held(a.gateway)
    print(f"\n{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
