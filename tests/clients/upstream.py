"""A scriptable upstream that fails on demand.

It speaks every API of `apis.py`, streamed and whole. The name of the requested model says what happens:
`FAULT.SUFFIX`, where the suffix makes the name unique, so that requests can be counted. A header `x-cut` cuts a
healthy stream at a byte instead. It writes to raw sockets, since a broken stream is something no HTTP library
agrees to send.
"""

import asyncio
import json
import socket
import struct
import threading
import time
from collections import defaultdict

import passed_on
import refusals
from apis import APIS, HTML, REQUEST_ID
from refusals import RATE_LIMITED


class Exchange:
    """One answer, written to one connection."""

    def __init__(self, writer, sent):
        self.writer, self.sent = writer, sent

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status, content_type, **headers):
        headers |= {"content-type": content_type, "x-request-id": REQUEST_ID, "request-id": REQUEST_ID}
        lines = [f"HTTP/1.1 {status} X", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
        await self.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def whole(self, status, body, content_type="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.sent.extend(body)
        await self.head(status, content_type, content_length=len(body), **headers)
        await self.write(body)

    async def chunk(self, data):
        self.sent.extend(data)
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))
        await asyncio.sleep(0.005)

    async def end(self):
        await self.write(b"0\r\n\r\n")

    async def reset(self):
        """Ends the connection with RST: what the peer has not read yet may be lost, so it gets time to."""
        await asyncio.sleep(0.1)
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def answer(exchange, api, fault, model, streamed, nth):
    """Writes the answer to one request. True: the connection may be used again."""
    if fault == "no_head":
        return False
    refusal = RATE_LIMITED if fault == "429_once" and nth == 1 else refusals.BY_NAME.get(fault)
    if refusal:
        await exchange.whole(refusal.status, api.error(refusal), **api.waits(refusal))
        return True
    if fault == "500_html":
        await exchange.whole(500, HTML, "text/html")
        return True
    if fault == "200_error":
        await exchange.whole(200, api.in_success())
        return True
    if not streamed:
        return await whole(exchange, api, fault, model)
    return await stream(exchange, api, fault, model)


async def whole(exchange, api, fault, model):
    body = json.dumps(api.whole(model)).encode()
    if fault in ("rst", "fin"):
        await exchange.head(200, "application/json", content_length=len(body))
        await exchange.write(body[: len(body) // 2])
        if fault == "rst":
            await exchange.reset()
        return False
    if fault == "empty":
        body = b""
    if fault == "200_html":
        await exchange.whole(200, HTML, "text/html")
        return True
    await exchange.whole(200, body)
    return True


async def stream(exchange, api, fault, model):
    preamble, text, end = api.stream(model)
    await exchange.head(200, api.content_type, transfer_encoding="chunked")
    if fault.endswith("_3"):
        for data in preamble + text[:3]:
            await exchange.chunk(data)
        return await breaks(exchange, api, fault.removesuffix("_3"), text[3])
    if fault == "stall_first":
        await asyncio.sleep(30)
        return False
    script = {
        "empty": [],
        "done_only": [api.done],
        "error_first": [api.in_band()],
        "error_preamble": preamble[:2] + [api.in_band()],
    }.get(fault, preamble + text + end)
    if fault == "ok_comments":
        script = [b": waiting\n\n"] + [b": hm\n" + data for data in script]
    if fault == "ok_split":
        joined = b"".join(script)
        script = [joined[i : i + 7] for i in range(0, len(joined), 7)]
    for data in script:
        await exchange.chunk(data)
    await exchange.end()
    return True


async def cut(exchange, api, model, how, length):
    """So many bytes of a healthy stream, and then a `clean` end or a `broken` connection."""
    preamble, text, end = api.stream(model)
    await exchange.head(200, api.content_type, transfer_encoding="chunked")
    if sent := b"".join(preamble + text + end)[: int(length)]:
        await exchange.chunk(sent)
    if how == "clean":
        await exchange.end()
    return how == "clean"


async def breaks(exchange, api, how, following):
    """What happens to a stream after its third piece of text."""
    half = following[: len(following) // 2]
    if how.startswith("says_"):
        await exchange.chunk(passed_on.last_word(api, how.removeprefix("says_")))
    elif how == "error":
        await exchange.chunk(api.in_band())
    elif how == "foreign":
        await exchange.chunk(api.foreign())
    elif how in ("half_fin", "half_clean"):
        await exchange.chunk(half)
    elif how == "bad_chunk":
        await exchange.write(b"zz\r\n" + following)
    elif how == "stall":
        await asyncio.sleep(30)
    if how in ("error", "foreign", "half_clean", "no_marker"):
        await exchange.end()
        return True
    if how == "rst":
        await exchange.reset()
    return False


def asked_for(path, body):
    """The API's path, the model, and whether a stream is wanted: Gemini has them all in its path."""
    if ":" not in path:
        return path, body["model"], body.get("stream", False)
    path, _, name = path.rpartition("/")
    model, _, method = name.partition(":")
    return path, model, method == "streamGenerateContent"


class Upstream:
    """The server, on its own thread and a free port of the loopback interface."""

    def __init__(self):
        self.seen = defaultdict(list)
        self.sent = defaultdict(bytearray)
        started = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True).start()
        started.wait()

    async def _serve(self, started):
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        started.set()
        await server.serve_forever()

    async def _connection(self, reader, writer):
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _request(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = b""
        if "chunked" in fields.get("transfer-encoding", ""):
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            body = await reader.readexactly(int(fields.get("content-length", 0)))
        asked = json.loads(body)
        path, model, streamed = asked_for(head.split(" ")[1].partition("?")[0], asked)
        self.seen[model].append(time.monotonic())
        self.sent[model].clear()
        exchange = Exchange(writer, self.sent[model])
        if "x-cut" in fields:
            return await cut(exchange, APIS[path], model, *fields["x-cut"].split())
        return await answer(exchange, APIS[path], model.partition(".")[0], model, streamed, len(self.seen[model]))
