"""What a client must see of each fault, by the rules of the error contract."""

import itertools
import json
from dataclasses import dataclass

import contract
import passed_on
import refusals
from apis import APIS, DELIVERED, TEXT
from raised import is_not, members_differ, message_differs, object_differs, raised_differs


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
    # The provider's own code, which OpenAI's dialect keeps.
    own_code: str | None = None

    @property
    def shown(self):
        return contract.CATEGORIES[self.category]

    @property
    def retryable(self):
        return self.worth_retrying and self.shown.retryable

    def requests(self, surface):
        """How many requests an SDK sends that may try twice more."""
        status = self.status or 200
        by_status = status in (408, 409, 429) or status >= 500
        again = {"as told": self.retryable, "by status": by_status, "never": False}[surface.retries]
        return 3 if again else 1


def refused(refusal):
    """The provider answered with this status itself."""
    status = contract.CATEGORIES[refusal.category].status_for(refusal.status)
    return Failure(
        status, refusal.category, "upstream", refusal.message, refusal.wait, upstream_headers=True, own_code=refusal.openai[1]
    )


def in_band(api, early):
    """The provider's own error event, before any text or after some."""
    status, category, sentence = api.fails_with
    return Failure(status if early else None, category, "upstream", sentence)


def in_success(api):
    status, category, sentence = api.succeeds_with
    return Failure(status, category, "upstream", sentence)


BROKEN = Failure(None, "upstream_error", "stream")
REFUSED = {refusal.name: refused(refusal) for refusal in refusals.ALL}
ANY = REFUSED | {
    "ok": None,
    "429_once": None,
    "500_html": Failure(500, "upstream_error", "upstream", "Internal Server Error", upstream_headers=True),
    "200_error": in_success,
    "no_head": Failure(502, "upstream_error", "service"),
}
SAID = {f"says_{category}_3": Failure(None, category, "upstream", passed_on.MESSAGE) for category in contract.CATEGORIES}
STREAMS = ANY | SAID | {
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
BY_CATEGORY = REFUSED | SAID
FAULTS = list(STREAMS | WHOLES)


def table_of(surface):
    return WHOLES if surface.kind == "whole" else STREAMS


def failure_of(faults, fault, path):
    failure = faults[fault]
    return failure(APIS[path]) if callable(failure) else failure


def expected(surface, fault):
    if fault == "429_once" and surface.retries == "never":
        fault = refusals.RATE_LIMITED.name
    return failure_of(table_of(surface), fault, surface.path)


def requests_differ(surface, fault, failure, seen):
    """How the times at which the requests came differ from what the SDK was told."""
    wanted, told = 1, None
    if fault in REFUSED:
        wanted, told = failure.requests(surface), failure.retry_after
    elif fault == "429_once" and failure is None:
        wanted, told = 2, refusals.WAIT
    pauses = [then - before for before, then in itertools.pairwise(seen)]
    wrong = [f"paused {pause:.1f} s" for pause in pauses if told and not told - 0.1 <= pause <= told + 2]
    return is_not("requests", len(seen), wanted) + wrong


def differs(surface, failure, model, text, last, error):
    """How one call differs from what it must be: a list of findings, empty if it is right."""
    if failure is None:
        whole = text == TEXT or surface.name == "embeddings"
        return [] if error is None and last is None and whole else [f"{error!r} after {text!r} {last or ''}"]
    if error is None:
        return ["SILENT"]
    wrong = raised_differs(surface.sdk, error, last, failure, model)
    if text != ("" if failure.status else DELIVERED):
        wrong.append(f"delivered {text!r}")
    return wrong


# The names of the events that end a broken stream; elsewhere it is one without a name.
LAST_WORDS = {"/v1/messages": ["error"], "/v1/responses": ["error", "response.failed"], "/v2/chat": ["message-end"]}


def bytes_differ(path, failure, model, body, before):
    """How the raw bytes of a broken stream differ: whole events, the dialect's last word, nothing after it."""
    if not body.startswith(before):
        return ["the events before the failure are not the upstream's bytes"]
    after = body[len(before) :].decode()
    if path == "/api/chat":
        return line_differs(after, failure, model)
    events = [dict(line.split(": ", 1) for line in event.split("\n")) for event in after.split("\n\n")[:-1]]
    if not after.endswith("\n\n") or [event.get("event") for event in events] != LAST_WORDS.get(path, [None]):
        return [f"ends with {after!r}"]
    last = [json.loads(event["data"]) for event in events]
    if path == "/v2/chat":
        return message_differs(last[0]["delta"].get("error"), failure) + members_differ(last[0], failure, model)
    wrong = object_differs(last[0].get("error", {}), failure, model)
    if len(last) == 2 and last[1]["response"].get("status") != "failed":
        wrong.append("response.failed without its status")
    return wrong


def line_differs(after, failure, model):
    """As `bytes_differ`, for the one line that ends a stream of NDJSON."""
    if after.count("\n") != 1 or not after.endswith("\n"):
        return [f"ends with {after!r}"]
    found = json.loads(after)
    return message_differs(found.get("error"), failure) + members_differ(found, failure, model)
