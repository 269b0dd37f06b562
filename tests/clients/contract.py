"""The error contract: how clients are shown each category, and which class they raise for it.

Written by hand from the tables of categories and of clients; nothing here is taken from an answer.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """One category: the status unless the upstream's own is in `kept`, and the words of three dialects."""

    status: int
    kept: tuple[int, ...]
    retryable: bool
    openai_type: str
    openai_code: str | None
    anthropic: str
    google: str

    def status_for(self, upstream):
        return upstream if upstream in self.kept else self.status


AUTH, FORBIDDEN, INVALID = "authentication_error", "permission_error", "invalid_request_error"
BUSY, SERVER = "service_unavailable", "server_error"
CATEGORIES = {
    "authentication": Shown(401, (), False, AUTH, "invalid_api_key", AUTH, "UNAUTHENTICATED"),
    "permission": Shown(403, (451,), False, FORBIDDEN, "permission_denied", FORBIDDEN, "PERMISSION_DENIED"),
    "invalid_request": Shown(400, (411, 412, 414, 416, 422, 431), False, INVALID, None, INVALID, "INVALID_ARGUMENT"),
    "context_length_exceeded": Shown(400, (), False, INVALID, "context_length_exceeded", INVALID, "INVALID_ARGUMENT"),
    "content_filter": Shown(400, (403,), False, INVALID, "content_filter", INVALID, "INVALID_ARGUMENT"),
    "request_too_large": Shown(413, (), False, INVALID, "request_too_large", "request_too_large", "INVALID_ARGUMENT"),
    "model_not_found": Shown(404, (410,), False, INVALID, "model_not_found", "not_found_error", "NOT_FOUND"),
    "not_found": Shown(404, (410,), False, INVALID, "not_found", "not_found_error", "NOT_FOUND"),
    "rate_limited": Shown(429, (), True, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    "quota_exhausted": Shown(
        429, (402,), False, "insufficient_quota", "insufficient_quota", "rate_limit_error", "RESOURCE_EXHAUSTED"
    ),
    "overloaded": Shown(503, (529,), True, BUSY, "overloaded", "overloaded_error", "UNAVAILABLE"),
    "model_not_ready": Shown(503, (), True, BUSY, "model_not_ready", "overloaded_error", "UNAVAILABLE"),
    "timeout": Shown(504, (408,), True, "timeout_error", "timeout", "timeout_error", "DEADLINE_EXCEEDED"),
    "conflict": Shown(409, (), True, "conflict_error", "conflict", "conflict_error", "ABORTED"),
    "unsupported": Shown(501, (405, 406, 415), False, INVALID, "unsupported", INVALID, "UNIMPLEMENTED"),
    "cancelled": Shown(499, (), False, SERVER, "cancelled", "api_error", "CANCELLED"),
    "upstream_error": Shown(502, (500,), True, SERVER, "upstream_error", "api_error", "INTERNAL"),
    "unknown": Shown(502, tuple(range(400, 600)), False, SERVER, "unknown", "api_error", "UNKNOWN"),
}


def anthropic_type(category, status):
    """Anthropic has a name for a quota with a status of its own."""
    return "billing_error" if status == 402 else CATEGORIES[category].anthropic


@dataclass(frozen=True)
class Classes:
    """What one SDK raises: the classes it names by status, one for other 5xx, one for the rest, one in a stream."""

    named: dict[int, str]
    server: str
    other: str
    in_stream: str

    def of(self, status):
        if status is None:
            return self.in_stream
        return self.named.get(status, self.server if status >= 500 else self.other)


OPENAI_NAMES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}
ANTHROPIC_NAMES = OPENAI_NAMES | {
    402: "PaymentRequiredError",
    408: "RequestTimeoutError",
    413: "ContentTooLargeError",
    499: "ClientClosedRequestError",
    501: "HTTPNotImplementedError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
    529: "OverloadedError",
}
COHERE_NAMES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    429: "TooManyRequestsError",
    499: "ClientClosedRequestError",
    500: "InternalServerError",
    501: "NotImplementedError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
}
SERVER_ERROR = "InternalServerError"
CLASSES = {
    "openai": Classes(OPENAI_NAMES, SERVER_ERROR, "APIStatusError", "APIError"),
    "openai node": Classes(OPENAI_NAMES, SERVER_ERROR, "APIError", "APIError"),
    "anthropic": Classes(ANTHROPIC_NAMES, SERVER_ERROR, "APIStatusError", "APIStatusError"),
    "anthropic node": Classes(ANTHROPIC_NAMES | {501: "NotImplementedError"}, SERVER_ERROR, "APIError", "APIError"),
    # In a stream too, it goes by the code of the error.
    "google-genai": Classes({}, "ServerError", "ClientError", ""),
    "ollama": Classes({}, "ResponseError", "ResponseError", "ResponseError"),
    # Nothing in a stream makes it raise but the end of the connection.
    "cohere": Classes(COHERE_NAMES, "ApiError", "ApiError", "RemoteProtocolError"),
}
# The status that an SDK shows of an error in the middle of a stream; the others show none.
STATUS_IN_STREAM = {"anthropic": 200, "ollama": -1}
