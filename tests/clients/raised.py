"""How each SDK shows a failure: the class, and the members that it passes on."""

import apis
import contract
import ollama
from cohere.core.api_error import ApiError
from google.genai import errors as genai


def is_not(what, found, want):
    """A finding, unless the two are the same."""
    return [] if found == want else [f"{what} {found!r}, not {want!r}"]


def class_is_not(error, name):
    return [] if type(error).__name__ == name else [f"{type(error).__name__}, not {name}"]


def message_differs(message, failure):
    if not isinstance(message, str) or not message.strip() or "<" in message:
        return [f"message {message!r}"]
    if failure.message and failure.message not in message:
        return [f"message {message!r}, not {failure.message!r}"]
    return []


def members_differ(found, failure, model):
    """How the extension members differ from what they must be."""
    want = {"category": failure.category, "retryable": failure.retryable, "model": model}
    if failure.origin:
        want["origin"] = failure.origin
    if failure.retry_after:
        want["retry_after"] = failure.retry_after
    wrong = [wrong for member, value in want.items() for wrong in is_not(member, found.get(member), value)]
    return wrong if "provider_status" in found else [*wrong, "no provider_status"]


def object_differs(found, failure, model):
    """As `members_differ`, for an error object, which holds the message too."""
    return members_differ(found, failure, model) + message_differs(found.get("message"), failure)


def headers_of(error):
    """The headers of the answer that an SDK raised an error for; None where it keeps none."""
    if isinstance(error, ApiError):
        return error.headers
    return getattr(getattr(error, "response", None), "headers", None)


def headers_differ(headers, failure):
    wrong = []
    if failure.retry_after and headers.get("retry-after") != str(failure.retry_after):
        wrong.append(f"retry-after {headers.get('retry-after')!r}")
    if failure.upstream_headers and headers.get("x-request-id") != apis.REQUEST_ID:
        wrong.append("the upstream's x-request-id is lost")
    if headers.get("x-should-retry") != str(failure.retryable).lower():
        wrong.append(f"x-should-retry {headers.get('x-should-retry')!r}")
    return wrong


def openai_differs(error, last, failure, model):
    wrong = class_is_not(error, contract.OPENAI.of(failure.status) if failure.status else "APIError")
    if failure.status:
        wrong += is_not("status", getattr(error, "status_code", None), failure.status)
    wrong += is_not("code", getattr(error, "code", None), failure.own_code or failure.shown.openai_code)
    wrong += is_not("type", getattr(error, "type", None), failure.shown.openai_type)
    body = getattr(error, "body", None)
    return wrong + object_differs(body if isinstance(body, dict) else {}, failure, model)


def anthropic_differs(error, last, failure, model):
    wrong = class_is_not(error, contract.ANTHROPIC.of(failure.status) if failure.status else "APIStatusError")
    wrong += is_not("status", getattr(error, "status_code", None), failure.status or 200)
    wrong += is_not("type", getattr(error, "type", None), contract.anthropic_type(failure.category, failure.status))
    body = getattr(error, "body", None)
    return wrong + object_differs(body.get("error") or {} if isinstance(body, dict) else {}, failure, model)


def genai_differs(error, last, failure, model):
    code = failure.status or failure.shown.status
    wrong = class_is_not(error, contract.GOOGLE.of(code))
    if not isinstance(error, genai.APIError):
        return wrong
    wrong += is_not("code", error.code, code) + is_not("status", error.status, failure.shown.google)
    found = error.details.get("error", {})
    if failure.retry_after:
        delays = [detail.get("retryDelay") for detail in found.get("details", [])]
        wrong += is_not("retryDelay", delays, [f"{failure.retry_after}s"])
    return wrong + message_differs(error.message, failure) + object_differs(found, failure, model)


def ollama_differs(error, last, failure, model):
    """Of the body it keeps the sentence alone, and no headers."""
    if not isinstance(error, ollama.ResponseError):
        return class_is_not(error, "ResponseError")
    return is_not("status", error.status_code, failure.status or -1) + message_differs(error.error, failure)


def cohere_differs(error, last, failure, model):
    """Nothing in a stream makes it raise: `last` is the event before the body fails."""
    if failure.status is None:
        wrong = class_is_not(error, "RemoteProtocolError")
        if last is None:
            return [*wrong, "no message-end with ERROR"]
        return wrong + message_differs(last.delta.error, failure) + members_differ(last.model_extra, failure, model)
    wrong = class_is_not(error, contract.COHERE.of(failure.status))
    if not isinstance(error, ApiError):
        return wrong
    body = error.body if isinstance(error.body, dict) else {}
    return wrong + is_not("status", error.status_code, failure.status) + object_differs(body, failure, model)


SDKS = {
    "/v1/messages": anthropic_differs,
    "/v1/models": genai_differs,
    "/api/chat": ollama_differs,
    "/v2/chat": cohere_differs,
}


def raised_differs(path, error, last, failure, model):
    """How what an SDK raised, after the event `last`, differs from what it must show of a failure."""
    wrong = SDKS.get(path, openai_differs)(error, last, failure, model)
    if failure.status and path != "/api/chat":
        wrong += headers_differ(headers_of(error) or {}, failure)
    return wrong
