"""What a client must see of each fault, by the rules of the error contract."""

import json
from dataclasses import dataclass

import anthropic
import openai
import upstream
from upstream import APIS, DELIVERED, OVERLOADED, RATE_LIMIT, REQUEST_ID, SENTENCES, TEXT

OPENAI_CLASSES = {
    401: openai.AuthenticationError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
}
# The public names are few; the others are still the classes that the client raises.
ANTHROPIC_CLASSES = {
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    502: "InternalServerError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
}
ANTHROPIC_TYPES = {
    "authentication": "authentication_error",
    "model_not_found": "not_found_error",
    "rate_limited": "rate_limit_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "upstream_error": "api_error",
    "model_not_ready": "overloaded_error",
}
OPENAI_CODES = {
    "authentication": "invalid_api_key",
    "model_not_found": "model_not_found",
    "rate_limited": "rate_limit_exceeded",
    "timeout": "timeout",
    "upstream_error": "upstream_error",
    "model_not_ready": "model_not_ready",
}


@dataclass(frozen=True)
class Failure:
    """One failure as a client sees it. `status` None: after three pieces of text of a 200."""

    status: int | None
    category: str
    origin: str | None
    message: str | None = None
    retry_after: int | None = None
    upstream_headers: bool = False
    worth_retrying: bool = True

    @property
    def retryable(self):
        return self.worth_retrying and self.category not in ("authentication", "model_not_found")


def refusal(status, category):
    """The provider answered with this status itself."""
    wait = 2 if status == 429 else None
    return Failure(status, category, "upstream", SENTENCES[status], wait, upstream_headers=True)


def in_band(api, early):
    """The provider's own error event, before any text or after some."""
    if api is APIS["/v1/messages"]:
        return Failure(503 if early else None, "overloaded", "upstream", OVERLOADED)
    return Failure(429 if early else None, "rate_limited", "upstream", RATE_LIMIT)


BROKEN = Failure(None, "upstream_error", "stream")
ANY = {
    "ok": None,
    "401": refusal(401, "authentication"),
    "404": refusal(404, "model_not_found"),
    "429": refusal(429, "rate_limited"),
    "429_once": None,
    "500_html": Failure(500, "upstream_error", "upstream", "Internal Server Error", upstream_headers=True),
    "200_error": Failure(429, "rate_limited", "upstream", RATE_LIMIT),
    "no_head": Failure(502, "upstream_error", "service"),
}
STREAMS = ANY | {
    "error_first": lambda api: in_band(api, True),
    "error_preamble": lambda api: in_band(api, True),
    "empty": Failure(502, "upstream_error", "stream"),
    "done_only": Failure(502, "upstream_error", "stream"),
    "stall_first": Failure(504, "timeout", "stream"),
    "error_3": lambda api: in_band(api, False),
    "foreign_3": lambda api: in_band(api, False),
    "rst_3": BROKEN,
    "fin_3": BROKEN,
    "half_fin_3": BROKEN,
    "half_clean_3": BROKEN,
    "bad_chunk_3": BROKEN,
    "no_marker_3": BROKEN,
    "stall_3": Failure(None, "timeout", "stream"),
}
WHOLES = ANY | {
    "200_html": Failure(502, "upstream_error", None, worth_retrying=False),
    "empty": Failure(502, "upstream_error", None),
    "rst": Failure(502, "upstream_error", None),
    "fin": Failure(502, "upstream_error", None),
}
FAULTS = list(STREAMS | WHOLES)


def expected(surface, fault):
    failure = (WHOLES if surface.kind == "whole" else STREAMS)[fault]
    return failure(APIS[surface.path]) if callable(failure) else failure


def error_object(error):
    """The dialect's error object in what an SDK raised."""
    body = error.body if isinstance(error.body, dict) else {}
    return body if isinstance(error, openai.APIError) else body.get("error") or {}


def object_differs(found, failure, model):
    """How an error object differs from what it must hold."""
    wrong = []
    want = {"category": failure.category, "retryable": failure.retryable, "model": model}
    if failure.origin:
        want["origin"] = failure.origin
    if failure.retry_after:
        want["retry_after"] = failure.retry_after
    for member, value in want.items():
        if found.get(member) != value:
            wrong.append(f"{member} {found.get(member)!r}, not {value!r}")
    if "provider_status" not in found:
        wrong.append("no provider_status")
    message = found.get("message")
    if not isinstance(message, str) or not message.strip() or "<" in message:
        wrong.append(f"message {message!r}")
    elif failure.message and failure.message not in message:
        wrong.append(f"message {message!r}, not {failure.message!r}")
    return wrong


def headers_differ(headers, failure):
    wrong = []
    if failure.retry_after and headers.get("retry-after") != str(failure.retry_after):
        wrong.append(f"retry-after {headers.get('retry-after')!r}")
    if failure.upstream_headers and headers.get("x-request-id") != REQUEST_ID:
        wrong.append("the upstream's x-request-id is lost")
    if headers.get("x-should-retry") != str(failure.retryable).lower():
        wrong.append(f"x-should-retry {headers.get('x-should-retry')!r}")
    return wrong


def openai_differs(error, failure):
    if failure.status is None:
        wrong = [] if type(error) is openai.APIError else [f"{type(error).__name__}, not APIError"]
    else:
        wrong = [] if type(error) is OPENAI_CLASSES[failure.status] else [f"{type(error).__name__}"]
        wrong += [] if getattr(error, "status_code", None) == failure.status else ["status"]
    code = OPENAI_CODES[failure.category]
    if getattr(error, "code", None) != code:
        wrong.append(f"code {getattr(error, 'code', None)!r}, not {code!r}")
    if not isinstance(getattr(error, "type", None), str) or ("invalid" in error.type and failure.retryable):
        wrong.append(f"type {getattr(error, 'type', None)!r}")
    return wrong


def anthropic_differs(error, failure):
    name = ANTHROPIC_CLASSES[failure.status] if failure.status else "APIStatusError"
    wrong = [] if type(error).__name__ == name else [f"{type(error).__name__}, not {name}"]
    if getattr(error, "status_code", None) != (failure.status or 200):
        wrong.append(f"status {getattr(error, 'status_code', None)}")
    kind = ANTHROPIC_TYPES[failure.category]
    if getattr(error, "type", None) != kind:
        wrong.append(f"type {getattr(error, 'type', None)!r}, not {kind!r}")
    return wrong


def differs(surface, failure, model, text, error):
    """How one call differs from what it must be: a list of findings, empty if it is right."""
    if failure is None:
        whole = text == TEXT or surface.name == "embeddings"
        return [] if error is None and whole else [f"{error!r} after {text!r}"]
    if error is None:
        return ["SILENT"]
    if not isinstance(error, surface.sdk.APIError):
        return [type(error).__name__]
    wrong = anthropic_differs(error, failure) if surface.sdk is anthropic else openai_differs(error, failure)
    wrong += object_differs(error_object(error), failure, model)
    if failure.status and hasattr(error, "response"):
        wrong += headers_differ(error.response.headers, failure)
    if text != ("" if failure.status else DELIVERED):
        wrong.append(f"delivered {text!r}")
    return wrong


def bytes_differ(path, failure, model, body):
    """How the raw bytes of a broken stream differ: whole events, the dialect's last word, nothing after it."""
    before = upstream.delivered(APIS[path], model)
    if not body.startswith(before):
        return ["the events before the failure are not the upstream's bytes"]
    after = body[len(before) :].decode()
    events = [dict(line.split(": ", 1) for line in event.split("\n")) for event in after.split("\n\n")[:-1]]
    names = {"/v1/messages": ["error"], "/v1/responses": ["error", "response.failed"]}.get(path, [None])
    if not after.endswith("\n\n") or [event.get("event") for event in events] != names:
        return [f"ends with {after!r}"]
    last = [json.loads(event["data"]) for event in events]
    wrong = object_differs(last[0].get("error", {}), failure, model)
    if len(last) == 2 and last[1]["response"].get("status") != "failed":
        wrong.append("response.failed without its status")
    return wrong
