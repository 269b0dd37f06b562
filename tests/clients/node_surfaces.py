"""The SDKs for Node, driven by a process of Node's own: see `node/calls.mjs`."""

import itertools
import json
import subprocess
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from surfaces import CALL_TIMEOUT, CHAT, EMBEDDINGS, MESSAGES, RESPONSES


class NodeError(Exception):
    """What was thrown in Node, under the names that the SDKs for Python use."""

    def __init__(self, shown):
        super().__init__(f"{shown['class']}: {shown['message']}")
        self.name = shown["class"]
        self.status_code, self.code, self.type = (shown.get(key) for key in ("status", "code", "type"))
        self.body, self.headers = shown.get("body"), shown.get("headers")


class Process:
    """Node with the SDKs of `folder`; takes calls from any thread and answers them in any order."""

    def __init__(self, folder):
        script = Path(folder) / "calls.mjs"
        self._process = subprocess.Popen(["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ids, self._waiting, self._lock = itertools.count(), {}, threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)
        for future in list(self._waiting.values()):
            future.set_exception(EOFError("Node ended before its answer"))

    def call(self, **job):
        future, id = Future(), next(self._ids)
        with self._lock:
            self._waiting[id] = future
            self._process.stdin.write(json.dumps({"id": id, **job}) + "\n")
            self._process.stdin.flush()
        return future.result(2 * job["timeout"] / 1000 + CALL_TIMEOUT)


@dataclass(frozen=True)
class NodeSurface:
    """One way to call one SDK; as `surfaces.Surface`."""

    name: str
    path: str
    kind: str
    sdk: str
    process: Process
    retries: str = "as told"
    flavours: tuple = (True,)

    def label(self, _):
        return f"{self.name} node"

    def call(self, base, model, _, retries):
        begin = time.monotonic()
        answer = self.process.call(surface=self.name, base=base, model=model, retries=retries, timeout=CALL_TIMEOUT * 1000)
        error = NodeError(answer["error"]) if "error" in answer else None
        return answer["text"], None, error, time.monotonic() - begin


def surfaces(folder):
    """All of them, with the SDKs that are installed in `folder`."""
    process = Process(folder)
    of = {"chat": (CHAT, "openai node"), "responses": (RESPONSES, "openai node"), "messages": (MESSAGES, "anthropic node")}
    streamed = [
        NodeSurface(f"{api} {kind}", path, kind, sdk, process)
        for api, (path, sdk) in of.items()
        for kind in ("stream", "helper", "events", "whole")
    ]
    return [*streamed, NodeSurface("embeddings", EMBEDDINGS, "whole", "openai node", process)]
