"""The example gateway as a process, and a pool of callers that use it."""

import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


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


def together(jobs, workers=16):
    """Does the jobs beside one another, which is how a gateway is used, and yields their results in order."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda job: job[0](*job[1:]), list(jobs))
