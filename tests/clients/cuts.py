#!/usr/bin/env python3
"""Cuts a stream of each API at every byte, behind the gateway, and reads what arrives with the SDKs' own decoders.

cuts.py --gateway PATH --node FOLDER

Each stream is cut by a clean end and by a broken connection. What arrives must be the upstream's whole events, byte
by byte, and the dialect's one error after them; before the first word, an error status. Exit code 1 otherwise.
"""

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path

import anthropic._streaming
import openai._streaming

import expect
from apis import APIS
from gateway import gateway
from raised import is_not, members_differ
from raw import HEADERS, PATHS, payload, target
from surfaces import CHAT, COHERE, GEMINI, OLLAMA, RESPONSES
from upstream import Upstream

MODEL = "m.1"
CONNECTIONS = 64
# Events that are no part of an answer: of Responses those about the response alone, elsewhere all before the text.
UNMEANT = {RESPONSES: 2}
PROMOTED = expect.Failure(502, "upstream_error", "stream")


@lru_cache
def events(path):
    """The events of the healthy stream, how many of them come before an answer, and how many complete it."""
    preamble, text, end = APIS[path].stream(MODEL)
    before, all = UNMEANT.get(path, len(preamble)), preamble + text + end
    return all, before, len(preamble + text) + 1 if path in (CHAT, GEMINI) else len(all)


def whole(path, length, how):
    """How many events are whole; at a clean end the last may lack the line feeds after it."""
    ends = list(itertools.accumulate(len(event) for event in events(path)[0]))
    missing = 0 if how == "broken" else 1 if path == OLLAMA else 2
    return sum(end - missing <= length for end in ends)


def differs(path, length, how, status, body, ended):
    """How an answer differs from what a stream that was cut there must become."""
    all, before, complete = events(path)
    count = whole(path, length, how)
    # A first word that lacks its line feeds at the end is still none: a status serves the client better.
    if whole(path, length, "broken") <= before:
        return is_not("status", status, 502) + (promotion_differs(path, body) if status == 502 else [])
    failed = count < complete
    wrong = is_not("status", status, 200) + is_not("ended", ended, not (failed and path == COHERE))
    sent = b"".join(all[:count])
    if failed:
        return wrong + expect.bytes_differ(path, expect.BROKEN, MODEL, body, sent)
    return wrong + is_not("body", body, sent)


@lru_cache
def promotion_differs(path, body):
    found = json.loads(body)
    return members_differ(found if path in (OLLAMA, COHERE) else found["error"], PROMOTED, MODEL)


async def exchange(reader, writer, path, how, length):
    """One request and its answer: the status, the body, and whether it came to its end."""
    body = payload(path, MODEL, True).encode()
    fields = HEADERS | {"host": "gateway", "content-length": len(body), "x-cut": f"{how} {length}"}
    lines = [f"POST {target(path, MODEL, True)} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split(" ")[1])
    _, _, after = head.partition("content-length: ")
    if after:
        return status, await reader.readexactly(int(after.split("\r\n")[0])), True
    received = bytearray()
    try:
        while size := int(await reader.readline(), 16):
            received += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    except (asyncio.IncompleteReadError, ValueError):
        return status, bytes(received), False
    return status, bytes(received), True


async def worker(address, jobs, done):
    """Takes jobs one after the other, over one connection for as long as it lives."""
    reader = writer = None
    for path, how, length in jobs:
        if writer is None:
            reader, writer = await asyncio.open_connection(*address)
        status, body, ended = await exchange(reader, writer, path, how, length)
        done.append((path, how, length, status, body, ended))
        if not ended:
            writer.close()
            writer = None


async def all_cuts(base):
    """What became of every stream, cut in both ways at every byte."""
    host, port = base.removeprefix("http://").split(":")
    jobs = (
        (path, how, length)
        for path in PATHS
        for how in ("clean", "broken")
        for length in range(len(b"".join(events(path)[0])) + 1)
    )
    done = []
    await asyncio.gather(*(worker((host, int(port)), jobs, done) for _ in range(CONNECTIONS)))
    return done


def by_python(decoder):
    """What a decoder of an SDK for Python finds in a stream."""
    return lambda streams: [[(event.event, event.data) for event in decoder().iter_bytes(iter([body]))] for body in streams]


def by_node(folder):
    def decode(streams):
        command = ["node", Path(folder) / "decoders.mjs"]
        asked = json.dumps([body.decode() for body in streams])
        said = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout
        found = json.loads(said)
        for errors in (stream["errors"] for stream in found if stream["errors"]):
            raise ValueError(f"eventsource-parser: {errors}")
        return [[tuple(event) for event in stream["events"]] for stream in found]

    return decode


def by_hand(body):
    """The events as they were written: perhaps a name, one line of data, a blank line."""
    fields = [dict(line.split(": ", 1) for line in event.split("\n")) for event in body.decode().split("\n\n")[:-1]]
    return [(event.get("event"), event["data"]) for event in fields]


def decoders_differ(streams, decoders):
    """How the decoders differ from one another, and what in the events is no JSON."""
    wanted = [by_hand(body) for body in streams]
    for data in {data for stream in wanted for _, data in stream if data != "[DONE]"}:
        json.loads(data)
    found = {name: decode(streams) for name, decode in decoders.items()}
    return [
        f"{name}: {stream} instead of {right}"
        for name, all in found.items()
        for stream, right in zip(all, wanted, strict=True)
        if stream != right
    ]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gateway", metavar="PATH", required=True, help="the built example")
    options.add_argument("--node", metavar="FOLDER", required=True, help="where eventsource-parser is")
    chosen = options.parse_args()
    with gateway(chosen.gateway, "--upstream", Upstream().url) as base:
        done = asyncio.run(all_cuts(base))
    wrong = [
        f"{path} {how} at {length}: {'; '.join(found)}"
        for path, how, length, *answer in done
        if (found := differs(path, length, how, *answer))
    ]
    streams = sorted({body for path, _, _, status, body, _ in done if status == 200 and path != OLLAMA})
    decoders = {
        "openai": by_python(openai._streaming.SSEDecoder),
        "anthropic": by_python(anthropic._streaming.SSEDecoder),
        "eventsource-parser": by_node(chosen.node),
    }
    wrong += decoders_differ(streams, decoders)
    print("\n".join(wrong[:40]))
    cuts = ", ".join(f"{path} {count}" for path, count in Counter(path for path, *_ in done).items())
    print(f"{len(done)} cuts ({cuts}), {len(streams)} streams for {len(decoders)} decoders: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
