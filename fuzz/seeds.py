#!/usr/bin/env python3
"""Fills corpus/ with the texts of the crate's own tests, in the form that each target reads.

Where TOWER_INFERENCE_SHARED names the folder of real answers and streams, with those too.
"""

import ast
import hashlib
import json
import os
import re
from pathlib import Path

HERE = Path(__file__).parent
RUST = [*HERE.parent.glob("src/**/*.rs"), *HERE.parent.glob("tests/**/*.rs")]
LITERAL = re.compile(r'r(#+)"(.*?)"\1|"((?:[^"\\]|\\.)*)"', re.S)

# The paths of the target `stream`, by how they are framed.
SSE, NDJSON = range(10), 10


def literals(source):
    """The texts between quotes; those with escapes that Python does not have are left out."""
    for raw in LITERAL.finditer(source):
        if raw[1]:
            yield raw[2]
            continue
        text = re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda it: f"\\U{int(it[1], 16):08x}", raw[3])
        text = re.sub(r"\\\n\s*", "", text).replace("\n", "\\n").replace("{{", "{").replace("}}", "}")
        try:
            yield ast.literal_eval(f'"{text}"')
        except (SyntaxError, ValueError):
            pass


def shared(name):
    folder = os.environ.get("TOWER_INFERENCE_SHARED")
    lines = Path(folder, "corpus", name).read_text().splitlines() if folder else []
    return map(json.loads, lines)


def keep(target, *parts):
    seed = b"".join(part.encode(errors="replace") if isinstance(part, str) else bytes(part) for part in parts)
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def number(n, size=2):
    return n.to_bytes(size, "little")


def answer(status, headers, text):
    # request, path, dialect, provider, options, status, seed, end
    keep("answer", [7, 0, 255, 255, 0], number(status - 100), [0, 0], headers, "\n", text)
    # preset, status, seed, end, options, model
    keep("probe", [len(text) % 8], number(status - 100), [0, 0, 0, 0], headers, "\n", text)
    keep("json", text)


def stream(text, is_ndjson):
    # path, seed, end, options, max_event
    for path in [NDJSON] if is_ndjson else SSE:
        keep("stream", [path, 0, 0, 0, 0], text)


for text in {text for file in RUST for text in literals(file.read_text())}:
    keep("redact", text)
    keep("head", bytes(6), "retry-after: 7\n\n", text)
    # dialect, category, path, options, provider_status, retry_after, next_sequence
    line = text.replace("\n", " ")
    keep("render", [len(text) % 12, 0, len(text) % 7, 63], number(529), bytes(16), f"{line}\n" * 9, text)
    if text.startswith(("{", "[", "<", " ")):
        answer(100 + len(text) % 500, "content-type: application/json\n", text)
        keep("model_name", [0, 0, 0, 0], text)
    if "data:" in text:
        stream(text, False)
    elif text.startswith("{"):
        stream(text, True)
        stream(f"data: {text}\n\n", False)
for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset"]:
    for value in ["7", "1.5", "6m0s", "Fri, 20 Nov 2026 12:00:00 GMT", "2026-11-20T12:00:00Z"]:
        lines = f"{name}: {value}\nanthropic-ratelimit-tokens-remaining: 0\n\n"
        keep("head", bytes(6), lines, "/v1/models/m:predict")
for case in shared("errors.jsonl"):
    headers = {"content-type": case["content_type"], **case["headers"]}
    lines = "".join(f"{name}: {value}\n" for name, value in headers.items())
    answer(case["status"] or 500, lines, case["body"] or "")
    keep("redact", case["body"] or "")
for case in shared("streams.jsonl"):
    stream(case["stream"], case["protocol"] != "sse")
