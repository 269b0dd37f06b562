"""The table of clients in the README: what each SDK raised for each fault, and what it did without a gateway."""

import difflib
import json
import textwrap
from importlib.metadata import version
from pathlib import Path

import contract
import refusals

BEGIN, END = "<!-- clients:begin -->\n", "<!-- clients:end -->\n"
ROWS = {
    "warming up": "the model is warming up",
    "warm-up bridged": "the same, with retries",
    "429_once": "429 once, with retries",
    "no_head": "the upstream closes before it answers",
    "500_html": "500 with a page of HTML",
    "200_error": "200 with an error in the body",
    "200_html": "200 with a page of HTML",
    "empty": "200 with nothing, or a stream without events",
    "rst": "an answer is cut, by a reset",
    "fin": "an answer is cut, by a close",
    "error_first": "a stream begins with an error",
    "error_preamble": "an error before the first word",
    "done_only": "a stream of nothing but its end",
    "stall_first": "no event comes",
    "error_3": "the API's own error after three words",
    "foreign_3": "an error that the SDK does not know",
    "rst_3": "a reset after three words",
    "fin_3": "a close after three words",
    "half_fin_3": "a close in the middle of an event",
    "half_clean_3": "a clean end in the middle of an event",
    "bad_chunk_3": "chunks that break HTTP",
    "no_marker_3": "a clean end after three words",
    "stall_3": "a stall after three words",
}
WORDS = (
    "Of {:,} calls of these SDKs through the gateway, streamed and whole, {:,} took a failure for an answer. Of {:,} "
    "of them, made straight to the same upstream, {:,} did: at least one in every cell with a †, where a helper may "
    "notice what an iterator does not. Those with a ‡ had not ended after ten seconds, the time-out they were given. Not in the "
    "table are the {} categories: as {} error statuses, each raised the class that the SDK has for it, with code, "
    "message, and as many requests and as long pauses as it was told (cohere tries again by the status alone); and "
    "again after three words of a stream. `.ci/run` fails where this differs from what it sees; "
    "`tests/clients/run.py --readme README.md` writes it."
)
NODE = {"openai node": "openai", "anthropic node": "@anthropic-ai/sdk"}


def heading(sdk, node):
    """An SDK with its version."""
    if sdk not in NODE:
        return f"{sdk} {version(sdk)}"
    package = Path(node) / "node_modules" / NODE[sdk] / "package.json"
    return f"{NODE[sdk]} {json.loads(package.read_text())['version']} (Node)"


def outcome(cells, without):
    """What one SDK did with one fault, called in all its ways."""
    if not cells:
        return ""
    classes = sorted({f"`{cell.raised}`" if cell.raised else "answers" for cell in cells})
    silent = " †" if any(cell.silent for cell in without) else ""
    hung = " ‡" if any(cell.raised == "Hung" for cell in without) else ""
    return " or ".join(classes) + silent + hung


def section(cells, without, node):
    """The text between the marks; `without` are the calls that had no gateway."""
    cells = [cell for cell in cells if cell.sdk in contract.CLASSES]
    without = [cell for cell in without if cell.fault in ROWS]
    counts = [len(cells), sum(cell.silent for cell in cells), len(without), sum(cell.silent for cell in without)]
    words = WORDS.format(*counts, len(contract.CATEGORIES), len(refusals.ALL))
    lines = [
        *textwrap.wrap(words, 100),
        "",
        "| what happens | " + " | ".join(heading(sdk, node) for sdk in contract.CLASSES) + " |",
        "|---|" + "---|" * len(contract.CLASSES),
    ]
    for fault, words in ROWS.items():
        here = [[cell for cell in all if cell.fault == fault] for all in (cells, without)]
        row = [outcome(*([cell for cell in some if cell.sdk == sdk] for some in here)) for sdk in contract.CLASSES]
        lines.append(f"| {words} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def replaced(text, section):
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + section + END + after


def write(path, section):
    path = Path(path)
    path.write_text(replaced(path.read_text(), section))


def difference(path, section):
    """The lines by which the README differs from this run."""
    text = Path(path).read_text()
    lines = (text.splitlines(), replaced(text, section).splitlines())
    return "\n".join(difflib.unified_diff(*lines, str(path), "this run", lineterm=""))
