"""A scriptable upstream that fails on demand.

It speaks OpenAI chat, embeddings and Responses and Anthropic messages, streamed and whole. The name of the
requested model says what happens: `FAULT.SUFFIX`, where the suffix makes the name unique, so that requests can
be counted. It writes to raw sockets, since a broken stream is something no HTTP library agrees to send.
"""

import asyncio
import json
import socket
import struct
import threading
import time
from collections import defaultdict

WORDS = ["one ", "two ", "three ", "four ", "five"]
DELIVERED = "".join(WORDS[:3])
TEXT = "".join(WORDS)
REQUEST_ID = "req_from_upstream"

RATE_LIMIT = "Rate limit reached for requests."
OVERLOADED = "The engine is overloaded, please try again."
SENTENCES = {
    401: "Incorrect API key provided.",
    404: "The model does not exist or you do not have access to it.",
    429: RATE_LIMIT,
}
OPENAI_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}
ANTHROPIC_ERRORS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
HTML = b"<html><head><title>500 Internal Server Error</title></head><body><h1>nginx</h1></body></html>"


def event(data, name=None):
    """One server-sent event, as the providers write it."""
    head = f"event: {name}\n" if name else ""
    data = data if isinstance(data, str) else json.dumps(data)
    return f"{head}data: {data}\n\n".encode()


class Chat:
    """OpenAI chat completions and, whole only, embeddings."""

    done = event("[DONE]")

    def _chunk(self, model, delta, finish=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]})

    def stream(self, model):
        """The events before the text, those of the text, and those after it."""
        preamble = [self._chunk(model, {"role": "assistant", "content": ""})]
        return preamble, [self._chunk(model, {"content": w}) for w in WORDS], [self._chunk(model, {}, "stop"), self.done]

    def whole(self, model):
        choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
        return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}

    def error(self, status):
        kind, code = OPENAI_ERRORS[status]
        return {"error": {"message": SENTENCES[status], "type": kind, "param": None, "code": code}}

    def in_band(self):
        return event(self.error(429))

    def foreign(self):
        """What an older vLLM sends: the SDK takes it for a chunk."""
        return event({"object": "error", "message": RATE_LIMIT, "type": "rate_limit_error", "param": None, "code": 429})


class Embeddings(Chat):
    def whole(self, model):
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        return {"object": "list", "model": model, "data": [vector], "usage": {"prompt_tokens": 1, "total_tokens": 1}}


class Responses(Chat):
    """OpenAI Responses."""

    def _response(self, model, status, output, error=None):
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": error, "incomplete_details": None,
            "instructions": None, "metadata": {}, "model": model, "output": output, "parallel_tool_calls": True,
            "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        }

    def _item(self, text, status):
        part = [{"type": "output_text", "text": text, "annotations": []}] if text else []
        return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": part}

    def stream(self, model):
        number = iter(range(1000))

        def ev(name, **members):
            return event({"type": name, "sequence_number": next(number), **members}, name)

        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        running, item = self._response(model, "in_progress", []), self._item(TEXT, "completed")
        empty = {"type": "output_text", "text": "", "annotations": []}
        preamble = [
            ev("response.created", response=running),
            ev("response.in_progress", response=running),
            ev("response.output_item.added", output_index=0, item=self._item("", "in_progress")),
            ev("response.content_part.added", **at, part=empty),
        ]
        text = [ev("response.output_text.delta", **at, delta=w, logprobs=[]) for w in WORDS]
        end = [
            ev("response.output_text.done", **at, text=TEXT, logprobs=[]),
            ev("response.content_part.done", **at, part=item["content"][0]),
            ev("response.output_item.done", output_index=0, item=item),
            ev("response.completed", response=self._response(model, "completed", [item])),
        ]
        return preamble, text, end

    def whole(self, model):
        return self._response(model, "completed", [self._item(TEXT, "completed")])

    def in_band(self):
        """The documented, flat event: the SDKs yield it and go on."""
        flat = {"type": "error", "sequence_number": 50, "code": "rate_limit_exceeded", "message": RATE_LIMIT, "param": None}
        return event(flat, "error")

    def foreign(self):
        """The documented last event alone, which the SDKs yield as well."""
        failed = self._response("m", "failed", [], {"code": "rate_limit_exceeded", "message": RATE_LIMIT})
        return event({"type": "response.failed", "sequence_number": 50, "response": failed}, "response.failed")


class Messages:
    """Anthropic messages."""

    done = event("[DONE]")

    def _message(self, model, content, stop):
        usage = {"input_tokens": 1, "output_tokens": 1}
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": stop, "stop_sequence": None, "usage": usage,
        }

    def stream(self, model):
        def ev(name, **members):
            return event({"type": name, **members}, name)

        preamble = [
            ev("message_start", message=self._message(model, [], None)),
            ev("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            ev("ping"),
        ]
        text = [ev("content_block_delta", index=0, delta={"type": "text_delta", "text": w}) for w in WORDS]
        end = [
            ev("content_block_stop", index=0),
            ev("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5}),
            ev("message_stop"),
        ]
        return preamble, text, end

    def whole(self, model):
        return self._message(model, [{"type": "text", "text": TEXT}], "end_turn")

    def error(self, status):
        error = {"type": ANTHROPIC_ERRORS[status], "message": SENTENCES[status]}
        return {"type": "error", "error": error, "request_id": REQUEST_ID}

    def in_band(self):
        overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": OVERLOADED}}
        return event(overloaded, "error")

    def foreign(self):
        """An OpenAI error without an event name, which the SDK skips."""
        return event({"error": {"message": OVERLOADED, "type": "overloaded_error", "param": None, "code": "overloaded"}})


APIS = {"/v1/chat/completions": Chat(), "/v1/embeddings": Embeddings(), "/v1/responses": Responses(), "/v1/messages": Messages()}


def delivered(api, model):
    """The bytes of the whole events before a break of the stream."""
    preamble, text, _ = api.stream(model)
    return b"".join(preamble + text[:3])


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


STATUSES = {"401": 401, "404": 404, "429": 429}


async def answer(exchange, api, fault, model, streamed, nth):
    """Writes the answer to one request. True: the connection may be used again."""
    if fault == "no_head":
        return False
    if fault in STATUSES or (fault == "429_once" and nth == 1):
        status = STATUSES.get(fault, 429)
        await exchange.whole(status, api.error(status), **({"retry_after": 2} if status == 429 else {}))
        return True
    if fault == "500_html":
        await exchange.whole(500, HTML, "text/html")
        return True
    if fault == "200_error":
        await exchange.whole(200, api.error(429))
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
    await exchange.head(200, "text/event-stream", transfer_encoding="chunked")
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


async def breaks(exchange, api, how, following):
    """What happens to a stream after its third piece of text."""
    half = following[: len(following) // 2]
    if how == "error":
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
        model = asked["model"]
        self.seen[model].append(time.monotonic())
        self.sent[model].clear()
        exchange = Exchange(writer, self.sent[model])
        api = APIS[head.split(" ")[1].partition("?")[0]]
        return await answer(exchange, api, model.partition(".")[0], model, asked.get("stream", False), len(self.seen[model]))
