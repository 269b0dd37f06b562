"""How each SDK shows a failure: the class, and the members that it passes on."""

import apis
import contract
from cohere.core.api_error import ApiError
from google.genai import errors as genai
from node_surfaces import NodeError


def is_not(what, found, want):
    """A finding, unless the two are the same."""
    return [] if found == want else [f"{what} {found!r}, not {want!r}"]


def class_of(error):
    """The name of the class that an SDK raised or threw."""
    return error.name if isinstance(error, NodeError) else type(error).__name__


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
    if isinstance(error, (ApiError, NodeError)):
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
    wrong = is_not("code", getattr(error, "code", None), failure.own_code or failure.shown.openai_code)
    wrong += is_not("type", getattr(error, "type", None), failure.shown.openai_type)
    body = getattr(error, "body", None)
    return wrong + object_differs(body if isinstance(body, dict) else {}, failure, model)


def anthropic_differs(error, last, failure, model):
    wrong = is_not("type", getattr(error, "type", None), contract.anthropic_type(failure.category, failure.status))
    body = getattr(error, "body", None)
    return wrong + object_differs(body.get("error") or {} if isinstance(body, dict) else {}, failure, model)


def genai_differs(error, last, failure, model):
    if not isinstance(error, genai.APIError):
        return ["not of google-genai"]
    wrong = is_not("code", error.code, failure.status or failure.shown.status)
    wrong += is_not("status", error.status, failure.shown.google)
    found = error.details.get("error", {})
    if failure.retry_after:
        delays = [detail.get("retryDelay") for detail in found.get("details", [])]
        wrong += is_not("retryDelay", delays, [f"{failure.retry_after}s"])
    return wrong + message_differs(error.message, failure) + object_differs(found, failure, model)


def ollama_differs(error, last, failure, model):
    """Of the body it keeps the sentence alone, and no headers."""
    return message_differs(getattr(error, "error", None), failure)


def cohere_differs(error, last, failure, model):
    """In a stream, `last` is the event before the body fails."""
    if failure.status is None:
        if last is None:
            return ["no message-end with ERROR"]
        return message_differs(last.delta.error, failure) + members_differ(last.model_extra, failure, model)
    body = getattr(error, "body", None)
    return object_differs(body if isinstance(body, dict) else {}, failure, model)


MEMBERS = {
    "openai": openai_differs,
    "openai node": openai_differs,
    "anthropic": anthropic_differs,
    "anthropic node": anthropic_differs,
    "google-genai": genai_differs,
    "ollama": ollama_differs,
    "cohere": cohere_differs,
}


def raised_differs(sdk, error, last, failure, model):
    """How what an SDK raised, after the event `last`, differs from what it must show of a failure."""
    by_code = failure.status or (failure.shown.status if sdk == "google-genai" else None)
    wrong = is_not("class", class_of(error), contract.CLASSES[sdk].of(by_code))
    if sdk != "google-genai":
        status = failure.status or contract.STATUS_IN_STREAM.get(sdk)
        wrong += is_not("status", getattr(error, "status_code", None), status)
    wrong += MEMBERS[sdk](error, last, failure, model)
    # Cohere's exception in a stream is the transport's.
    if failure.message and (failure.status or sdk != "cohere") and failure.message not in str(error):
        wrong.append(f"says {str(error)!r}")
    if failure.status and sdk != "ollama":
        wrong += headers_differ(headers_of(error) or {}, failure)
    return wrong
