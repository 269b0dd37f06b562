"""How each SDK shows a failure: the class, and the members that it passes on."""

import anthropic
import apis
import ollama
import openai
from cohere.core.api_error import ApiError
from google.genai import errors as genai

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
COHERE_CLASSES = {
    401: "UnauthorizedError",
    404: "NotFoundError",
    429: "TooManyRequestsError",
    500: "InternalServerError",
    502: "ApiError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
}
OPENAI_CODES = {
    "authentication": "invalid_api_key",
    "model_not_found": "model_not_found",
    "rate_limited": "rate_limit_exceeded",
    "timeout": "timeout",
    "upstream_error": "upstream_error",
    "model_not_ready": "model_not_ready",
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
# Mid-stream the code is that of the category.
GOOGLE_CODES = {"rate_limited": 429, "timeout": 504, "upstream_error": 502}
GOOGLE_STATUSES = {
    "authentication": "UNAUTHENTICATED",
    "model_not_found": "NOT_FOUND",
    "rate_limited": "RESOURCE_EXHAUSTED",
    "timeout": "DEADLINE_EXCEEDED",
    "upstream_error": "INTERNAL",
    "model_not_ready": "UNAVAILABLE",
}


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
    if failure.status is None:
        wrong = [] if type(error) is openai.APIError else [f"{type(error).__name__}, not APIError"]
    else:
        wrong = [] if type(error) is OPENAI_CLASSES[failure.status] else [f"{type(error).__name__}"]
        wrong += is_not("status", getattr(error, "status_code", None), failure.status)
    wrong += is_not("code", getattr(error, "code", None), OPENAI_CODES[failure.category])
    kind = getattr(error, "type", None)
    if not isinstance(kind, str) or ("invalid" in kind and failure.retryable):
        wrong.append(f"type {kind!r}")
    body = getattr(error, "body", None)
    return wrong + object_differs(body if isinstance(body, dict) else {}, failure, model)


def anthropic_differs(error, last, failure, model):
    wrong = class_is_not(error, ANTHROPIC_CLASSES[failure.status] if failure.status else "APIStatusError")
    wrong += is_not("status", getattr(error, "status_code", None), failure.status or 200)
    wrong += is_not("type", getattr(error, "type", None), ANTHROPIC_TYPES[failure.category])
    body = getattr(error, "body", None)
    return wrong + object_differs(body.get("error") or {} if isinstance(body, dict) else {}, failure, model)


def genai_differs(error, last, failure, model):
    code = failure.status or GOOGLE_CODES[failure.category]
    wrong = class_is_not(error, "ClientError" if code < 500 else "ServerError")
    if not isinstance(error, genai.APIError):
        return wrong
    wrong += is_not("code", error.code, code) + is_not("status", error.status, GOOGLE_STATUSES[failure.category])
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
    wrong = class_is_not(error, COHERE_CLASSES[failure.status])
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
