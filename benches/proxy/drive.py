"""Drives `main.rs` beside it, from both sides and in lockstep, so that counts of instructions repeat:
nothing is sent before what was sent last has arrived.
"""

import re
import socket
import subprocess
import tempfile
from pathlib import Path

STACKS = ["bare", "layers", "router", "router, identity", "router, from_fn", "router, layers"]

CHUNKS = 200
STREAMS = 5000

GET = b"GET /v1/files HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n"
CHAT = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: 39\r\n\r\n" b'{"model":"gpt-4o-mini","messages":[{}]}'
)

JSON = b'{"id":"chatcmpl-123","object":"chat.completion","choices":[{"index":0,"message":{"content":"Hi"}}]}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(JSON), JSON)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = (
    b'data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini",'
    b'"system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"%s"},"logprobs":null,'
    b'"finish_reason":null}]}\n\n'
)
EVENT %= b"a" * (268 - len(EVENT) + 2)
LAST = b"data: [DONE]\n\n"


# A lost step is an error, not a wait.
socket.setdefaulttimeout(60)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def read_until(connection, end):
    """Reads on until what came ends so."""
    came = b""
    while not came.endswith(end):
        more = connection.recv(1 << 16)
        if not more:
            raise EOFError(f"closed after {came!r}")
        came += more


class Proxy:
    """One proxy process, the client before it and the upstream behind it."""

    def __init__(self, command, stack):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        upstream = "127.0.0.1:%d" % self.listener.getsockname()[1]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([*command, stack, upstream], text=True, **pipes)
        host, port = self.process.stdout.readline().strip().split(":")
        self.address = host, int(port)
        self.connections = []

    def connect(self):
        client = socket.create_connection(self.address)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections.append(client)
        return client

    def accept(self):
        upstream, _ = self.listener.accept()
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections.append(upstream)
        return upstream

    def end(self):
        """Ends the process; returns what it wrote to its standard error."""
        for connection in self.connections:
            connection.close()
        self.listener.close()
        _, errors = self.process.communicate("\n")
        return errors


def exchange_json(client, upstream, request):
    read_until(upstream, request[-4:])
    upstream.sendall(ANSWER)
    read_until(client, JSON)


def exchange_stream(client, upstream, request):
    read_until(upstream, request[-4:])
    upstream.sendall(HEAD + chunk(EVENT))
    read_until(client, EVENT + b"\r\n")
    for _ in range(CHUNKS - 2):
        upstream.sendall(chunk(EVENT))
        read_until(client, EVENT + b"\r\n")
    upstream.sendall(chunk(LAST) + b"0\r\n\r\n")
    read_until(client, b"0\r\n\r\n")


KINDS = {
    "get": (GET, exchange_json, 100, 600),
    "chat": (CHAT, exchange_json, 100, 600),
    "stream": (CHAT, exchange_stream, 3, 13),
}


def count(binary, stack, kind, times):
    """Instructions of a process that answers so many requests."""
    request, exchange, *_ = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={Path(folder, 'out')}"]
        proxy = Proxy([*valgrind, binary], stack)
        client, upstream = proxy.connect(), None
        for _ in range(times):
            client.sendall(request)
            upstream = upstream or proxy.accept()
            exchange(client, upstream, request)
        return int(re.search(r"Collected : (\d+)", proxy.end()).group(1))


def instructions(binary, stack, kind):
    """Instructions of one request: what more requests take more."""
    *_, few, many = KINDS[kind]
    return (count(binary, stack, kind, many) - count(binary, stack, kind, few)) / (many - few)


def resident(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def memory(binary, stack):
    """Resident bytes of each of many idle streams."""
    proxy = Proxy([binary], stack)

    def opened(streams):
        for _ in range(streams):
            client = proxy.connect()
            client.sendall(CHAT)
            upstream = proxy.accept()
            read_until(upstream, CHAT[-4:])
            upstream.sendall(HEAD + chunk(EVENT))
            read_until(client, EVENT + b"\r\n")
        return resident(proxy.process.pid)

    # What the first ones take is not theirs alone.
    before = opened(100)
    taken = opened(STREAMS) - before
    proxy.end()
    return taken / STREAMS


def measure(binary):
    """Figures of each `kind::stack`."""
    figures = {f"{kind}::{stack}": instructions(binary, stack, kind) for kind in KINDS for stack in STACKS}
    return figures | {f"idle stream::{stack}": memory(binary, stack) for stack in STACKS}
