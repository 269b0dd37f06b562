"""What providers answer instead of words: every category, and the statuses that say one more precisely."""

from dataclasses import dataclass

import contract

# The pause that is asked for before trying again, in seconds: longer than any SDK pauses untold at first.
WAIT = 2


@dataclass(frozen=True)
class Refusal:
    """One answer, in the words of each API; `category` is what it must be read as."""

    status: int
    category: str
    message: str
    openai: tuple[str, str | None]
    anthropic: str
    google: str

    @property
    def name(self):
        return f"{self.status}_{self.category}"

    @property
    def wait(self):
        return WAIT if contract.CATEGORIES[self.category].retryable else None


INVALID, SERVER = "invalid_request_error", "server_error"
ALL = [
    Refusal(
        401, "authentication", "Incorrect API key provided.",
        (INVALID, "invalid_api_key"), "authentication_error", "UNAUTHENTICATED",
    ),
    Refusal(
        403, "permission", "Country, region, or territory not supported.",
        ("request_forbidden", "unsupported_country_region_territory"), "permission_error", "PERMISSION_DENIED",
    ),
    Refusal(
        451, "permission", "Not available where you are.",
        ("permission_error", None), "permission_error", "PERMISSION_DENIED",
    ),
    Refusal(
        400, "invalid_request", "temperature: must be at most 2.",
        (INVALID, None), INVALID, "INVALID_ARGUMENT",
    ),
    Refusal(
        422, "invalid_request", "temperature: should be a number.",
        (INVALID, None), INVALID, "INVALID_ARGUMENT",
    ),
    Refusal(
        400, "context_length_exceeded", "prompt is too long: 9000 tokens > 8192 maximum",
        (INVALID, "context_length_exceeded"), INVALID, "INVALID_ARGUMENT",
    ),
    Refusal(
        400, "content_filter", "Output blocked by content filtering policy",
        (INVALID, "content_filter"), INVALID, "INVALID_ARGUMENT",
    ),
    Refusal(
        403, "content_filter", "Output blocked by content filtering policy",
        (INVALID, "content_policy_violation"), "permission_error", "PERMISSION_DENIED",
    ),
    Refusal(
        413, "request_too_large", "Request exceeds the maximum size.",
        (INVALID, None), "request_too_large", "INVALID_ARGUMENT",
    ),
    Refusal(
        404, "model_not_found", "The model does not exist or you do not have access to it.",
        (INVALID, "model_not_found"), "not_found_error", "NOT_FOUND",
    ),
    Refusal(
        410, "model_not_found", "The model is no longer available.",
        (INVALID, None), "not_found_error", "NOT_FOUND",
    ),
    Refusal(
        404, "not_found", "The requested URL does not exist.",
        (INVALID, "unknown_url"), "not_found_error", "NOT_FOUND",
    ),
    Refusal(
        429, "rate_limited", "Rate limit reached for requests.",
        ("rate_limit_error", "rate_limit_exceeded"), "rate_limit_error", "RESOURCE_EXHAUSTED",
    ),
    Refusal(
        429, "quota_exhausted", "You exceeded your current quota, please check your plan and billing details.",
        ("insufficient_quota", "insufficient_quota"), "rate_limit_error", "RESOURCE_EXHAUSTED",
    ),
    Refusal(
        402, "quota_exhausted", "Insufficient credits.",
        (INVALID, None), "billing_error", "RESOURCE_EXHAUSTED",
    ),
    Refusal(
        400, "quota_exhausted", "Your credit balance is too low to access the API.",
        (INVALID, None), INVALID, "FAILED_PRECONDITION",
    ),
    Refusal(
        503, "overloaded", "The engine is currently busy, please try again later.",
        (SERVER, None), "overloaded_error", "UNAVAILABLE",
    ),
    Refusal(
        529, "overloaded", "Overloaded",
        (SERVER, None), "overloaded_error", "UNAVAILABLE",
    ),
    Refusal(
        503, "model_not_ready", "Model is not ready",
        (SERVER, None), "overloaded_error", "UNAVAILABLE",
    ),
    Refusal(
        405, "model_not_ready", "Model is not ready",
        (INVALID, None), INVALID, "FAILED_PRECONDITION",
    ),
    Refusal(
        504, "timeout", "The request took too long.",
        (SERVER, None), "timeout_error", "DEADLINE_EXCEEDED",
    ),
    Refusal(
        408, "timeout", "The request took too long.",
        (SERVER, None), "timeout_error", "DEADLINE_EXCEEDED",
    ),
    Refusal(
        409, "conflict", "The request conflicts with another one.",
        (INVALID, None), "conflict_error", "ABORTED",
    ),
    Refusal(
        501, "unsupported", "This feature is not implemented.",
        (INVALID, None), INVALID, "UNIMPLEMENTED",
    ),
    Refusal(
        415, "unsupported", "This media type is not supported.",
        (INVALID, None), INVALID, "INVALID_ARGUMENT",
    ),
    Refusal(
        499, "cancelled", "The request was cancelled.",
        (SERVER, None), "api_error", "CANCELLED",
    ),
    Refusal(
        502, "upstream_error", "Bad gateway.",
        (SERVER, None), "api_error", "INTERNAL",
    ),
    Refusal(
        500, "upstream_error", "The server had an error while processing your request.",
        (SERVER, None), "api_error", "INTERNAL",
    ),
    Refusal(
        418, "unknown", "I would rather not.",
        (SERVER, None), "api_error", "UNKNOWN",
    ),
]
BY_NAME = {refusal.name: refusal for refusal in ALL}
RATE_LIMITED = BY_NAME["429_rate_limited"]
assert {refusal.category for refusal in ALL} == set(contract.CATEGORIES), "a category is missing"
