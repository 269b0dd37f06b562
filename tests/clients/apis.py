"""What the providers send: answers, streams and errors of each API, healthy and broken."""

import json

from refusals import RATE_LIMITED

WORDS = ["one ", "zwölf ", "三 ", "four 🙂 ", "five"]
DELIVERED = "".join(WORDS[:3])
TEXT = "".join(WORDS)
REQUEST_ID = "req_from_upstream"

RATE_LIMIT = RATE_LIMITED.message
OVERLOADED = "The engine is overloaded, please try again."
RUNNER = "an error was encountered while running the model: unexpected EOF"
GENERATION = "The generation failed."
HTML = b"<html><head><title>500 Internal Server Error</title></head><body><h1>nginx</h1></body></html>"


def event(data, name=None):
    """One server-sent event, as the providers write it."""
    head = f"event: {name}\n" if name else ""
    data = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{head}data: {data}\n\n".encode()


def line(data):
    """One line of NDJSON."""
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"


class Api:
    """What the APIs have in common."""

    content_type = "text/event-stream"
    done = event("[DONE]")
    # What `in_band` and `foreign` say: the status if no text came before, the category, the sentence.
    fails_with = (429, "rate_limited", RATE_LIMIT)
    # What `in_success` says.
    succeeds_with = (429, "rate_limited", RATE_LIMIT)

    def in_success(self):
        """The body of a 200 that is an error."""
        return self.error(RATE_LIMITED)

    def waits(self, refusal):
        """The headers that say when to try again."""
        return {"retry_after": refusal.wait} if refusal.wait else {}


class Chat(Api):
    """OpenAI chat completions and, whole only, embeddings."""

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

    def error(self, refusal):
        kind, code = refusal.openai
        return {"error": {"message": refusal.message, "type": kind, "param": None, "code": code}}

    def in_band(self):
        return event(self.error(RATE_LIMITED))

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


class Messages(Api):
    """Anthropic messages."""

    fails_with = (503, "overloaded", OVERLOADED)

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

    def error(self, refusal):
        error = {"type": refusal.anthropic, "message": refusal.message}
        return {"type": "error", "error": error, "request_id": REQUEST_ID}

    def in_band(self):
        overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": OVERLOADED}}
        return event(overloaded, "error")

    def foreign(self):
        """An OpenAI error without an event name, which the SDK skips."""
        return event({"error": {"message": OVERLOADED, "type": "overloaded_error", "param": None, "code": "overloaded"}})


class Gemini(Api):
    """Google Gemini: a stream ends with a `finishReason`."""

    def _chunk(self, model, parts, **members):
        content = {"role": "model", **({"parts": [{"text": text} for text in parts]} if parts else {})}
        return {"candidates": [{"content": content, "index": 0, **members}], "modelVersion": model, "responseId": "r1"}

    def stream(self, model):
        preamble = [event(self._chunk(model, []))]
        return preamble, [event(self._chunk(model, [w])) for w in WORDS], [event(self._chunk(model, [], finishReason="STOP"))]

    def whole(self, model):
        return self._chunk(model, [TEXT], finishReason="STOP")

    def error(self, refusal):
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{refusal.wait}s"}
        details = {"details": [retry]} if refusal.wait else {}
        return {"error": {"code": refusal.status, "message": refusal.message, "status": refusal.google, **details}}

    def waits(self, refusal):
        """Google says it in the body."""
        return {}

    def in_band(self):
        return event(self.error(RATE_LIMITED))

    def foreign(self):
        """The code of another API: a TypeError inside of the SDK."""
        return event({"error": {"message": RATE_LIMIT, "type": "rate_limit_error", "code": "rate_limit_exceeded"}})


class Ollama(Api):
    """Ollama: a JSON object a line, and no event before the text."""

    content_type = "application/x-ndjson"
    done = b"[DONE]\n"
    fails_with = succeeds_with = (502, "upstream_error", RUNNER)

    def _object(self, model, text, **members):
        message = {"role": "assistant", "content": text}
        return {"model": model, "created_at": "2026-11-20T10:00:00Z", "message": message, "done": False} | members

    def stream(self, model):
        text = [line(self._object(model, w)) for w in WORDS]
        return [], text, [line(self._object(model, "", done=True, done_reason="stop"))]

    def whole(self, model):
        return self._object(model, TEXT, done=True, done_reason="stop")

    def error(self, refusal):
        return {"error": refusal.message}

    def in_success(self):
        return {"error": RUNNER}

    def in_band(self):
        return line(self.in_success())

    def foreign(self):
        """An object as `error`, from a server behind the OpenAI API: a TypeError in the SDK."""
        return line({"error": {"message": RUNNER, "type": "api_error", "param": None, "code": None}})


class Cohere(Api):
    """Cohere v2 chat: no shape of event makes the SDK raise."""

    fails_with = (502, "upstream_error", GENERATION)
    succeeds_with = (502, "upstream_error", None)

    def stream(self, model):
        def ev(name, **members):
            return event({"type": name, **members}, name)

        def content(**members):
            return {"message": {"content": members}}

        preamble = [
            ev("message-start", id="c1", delta={"message": {"role": "assistant", "content": []}}),
            ev("content-start", index=0, delta=content(type="text", text="")),
        ]
        text = [ev("content-delta", index=0, delta=content(text=w)) for w in WORDS]
        end = [ev("content-end", index=0), ev("message-end", delta={"finish_reason": "COMPLETE"})]
        return preamble, text, end

    def whole(self, model):
        message = {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}
        return {"id": "c1", "finish_reason": "COMPLETE", "message": message}

    def error(self, refusal):
        return {"id": "c1", "message": refusal.message}

    def in_success(self):
        return {"id": "c1", "finish_reason": "ERROR", "message": {"role": "assistant", "content": []}}

    def in_band(self):
        """The documented end of a failed stream: the SDK yields it and goes on."""
        return event({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": GENERATION}}, "message-end")

    def foreign(self):
        """An error of the OpenAI API, which the SDK drops."""
        return event({"error": {"message": GENERATION, "type": "server_error", "param": None, "code": None}})


APIS = {
    "/v1/chat/completions": Chat(),
    "/v1/embeddings": Embeddings(),
    "/v1/responses": Responses(),
    "/v1/messages": Messages(),
    "/v1/models": Gemini(),
    "/api/chat": Ollama(),
    "/v2/chat": Cohere(),
}


def delivered(api, model):
    """The bytes of the whole events before a break of the stream."""
    preamble, text, _ = api.stream(model)
    return b"".join(preamble + text[:3])
